/** Search as a hook: waits until typing pauses, forgets late answers, brings more on demand. */

import type { Entry } from "@hongyan/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { client, reasonOf } from "../session/index.js";

/** A message that was found; `pos` orders hits, the newest is the highest. */
export interface Hit {
  log: string;
  entry: Entry;
  pos: number;
}

interface Answer {
  hits: Hit[];
  before: number;
  more: boolean;
}

export interface Found {
  /** What these are the hits of. */
  text: string;
  hits: readonly Hit[];
  more: boolean;
  busy: boolean;
  error: string;
}

const NONE: Found = { text: "", hits: [], more: false, busy: false, error: "" };
const PAUSE = 250; // ms of no typing
const PAGE = 20;

/** Messages with all words of `text`, in `log` or ("") everywhere, newest first; and how to get more. */
export function useSearch(text: string, log: string): [Found, () => void] {
  const [found, setFound] = useState(NONE);
  const turn = useRef(0);
  const wanted = text.trim();
  const ask = async (before: number | undefined, mine: number, had: readonly Hit[]) => {
    try {
      const args = { text: wanted, limit: PAGE, ...(before !== undefined && { before }) };
      const answer = await client().query<Answer>("search", args, log || undefined);
      if (mine !== turn.current) return;
      last.current = answer.before;
      setFound({ text: wanted, hits: [...had, ...answer.hits], more: answer.more, busy: false, error: "" });
    } catch (error) {
      if (mine === turn.current) {
        setFound({ text: wanted, hits: had, more: false, busy: false, error: reasonOf(error) });
      }
    }
  };
  const last = useRef(0);
  useEffect(() => {
    const mine = ++turn.current;
    if (!wanted) return setFound(NONE);
    setFound((was) => ({ ...was, busy: true, error: "" }));
    const timer = setTimeout(() => void ask(undefined, mine, []), PAUSE);
    return () => clearTimeout(timer);
  }, [wanted, log]);
  const more = () => {
    if (found.busy || !found.more) return;
    setFound({ ...found, busy: true });
    void ask(last.current, turn.current, found.hits);
  };
  return [found, more];
}
