/** Asking again and again, or once and after each change. */

import { useEffect, useRef, useState } from "preact/hooks";
import { Offline, Refused } from "./session.js";

export interface Loaded<T> {
  value: T | undefined;
  error: Refused | Offline | null;
  loading: boolean;
  again: () => void;
}

/**
 * What `ask` gives, asked for when `key` changes, and every `everyMs` while the page is seen
 * (0 = once). The last value stays while a new one of the same key is on its way, and when it
 * fails.
 */
export function useLoad<T>(key: string, ask: () => Promise<T>, everyMs = 0): Loaded<T> {
  const [state, setState] = useState<{ key: string; value?: T; error: Loaded<T>["error"] }>({
    key,
    error: null,
  });
  const [round, setRound] = useState(0);
  const asking = useRef(ask);
  asking.current = ask;
  useEffect(() => {
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const turn = async () => {
      if (document.visibilityState === "visible") {
        try {
          const value = await asking.current();
          if (!over) setState({ key, value, error: null });
        } catch (error) {
          if (!(error instanceof Refused || error instanceof Offline)) throw error;
          if (!over) {
            setState((old) => ({ key, error, ...(old.key === key && { value: old.value as T }) }));
          }
        }
      }
      if (!over && everyMs) timer = setTimeout(() => void turn(), everyMs);
    };
    void turn();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [key, round, everyMs]);
  const mine = state.key === key;
  return {
    value: mine ? state.value : undefined,
    error: mine ? state.error : null,
    loading: !mine || (state.value === undefined && state.error === null),
    again: () => setRound((n) => n + 1),
  };
}

/** Every error of asking, in words. */
export function wordsOf(error: unknown, offline: string): string {
  if (error instanceof Offline) return offline;
  return error instanceof Error ? error.message : String(error);
}
