/**
 * Panels and windows over a room that "back" and Escape close, the newest first.
 *
 * While one is open the history has one more step, of the same address: "back" takes that step
 * away instead of the room. Where a panel is closed otherwise the step is taken back.
 */

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

const SETTLE_MS = 60; // a menu that opens a window closes first: no step back and forth for that
const MARK = "hongyan.layer"; // of the step in the history

type Close = () => void;

/** The layers that are open, and the step in the history. One per page. */
export class Layers {
  #open: Close[] = [];
  #stepped = false;
  #leaving = false; // our own step back is on the way
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly history: Pick<History, "pushState" | "back">) {}

  get count(): number {
    return this.#open.length;
  }

  /** A layer opened; call what comes back when it is closed. */
  add(close: Close): () => void {
    this.#open.push(close);
    this.#step();
    return () => {
      const at = this.#open.indexOf(close);
      if (at < 0) return;
      this.#open.splice(at, 1);
      this.#settle();
    };
  }

  /** Close the newest; whether there was one. */
  closeTop(): boolean {
    const top = this.#open.pop();
    top?.();
    this.#settle();
    return top !== undefined;
  }

  /** The history went a step: `popstate`. */
  popped(): void {
    this.#stepped = false;
    if (this.#leaving) {
      this.#leaving = false;
      this.#step(); // something opened meanwhile
      return;
    }
    const top = this.#open.pop();
    top?.();
    this.#step();
  }

  #step(): void {
    if (this.#stepped || !this.#open.length) return;
    this.#stepped = true;
    this.history.pushState({ [MARK]: true }, "");
  }

  #settle(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#open.length || !this.#stepped || this.#leaving) return;
      this.#leaving = true;
      this.history.back();
    }, SETTLE_MS);
  }
}

export const layers = new Layers(history);

/** Serve "back" and Escape as long as a room is on the screen. */
export function useLayers(): void {
  useEffect(() => {
    const popped = () => layers.popped();
    const pressed = (e: KeyboardEvent) => {
      // a window hears Escape by itself
      if (e.key !== "Escape" || e.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (layers.closeTop()) e.preventDefault();
    };
    addEventListener("popstate", popped);
    addEventListener("keydown", pressed);
    return () => {
      removeEventListener("popstate", popped);
      removeEventListener("keydown", pressed);
    };
  }, []);
}

/** A panel that is shown while `open`. */
export function useLayer(open: boolean, close: Close): void {
  const now = useRef(close);
  now.current = close;
  // before it is painted: who is quick would leave the room
  useLayoutEffect(() => (open ? layers.add(() => now.current()) : undefined), [open]);
}

const SOON_MS = 1_000; // within which a window that was asked for is there

/** A window that was just asked for, of whatever kind: "back" is its Escape. */
export function overWindow(): void {
  const windows = () => [...document.querySelectorAll<HTMLDialogElement>("dialog[open]")];
  const before = new Set(windows());
  // at once when it is shown, not a frame later: who is quick would leave the room
  const seen = new MutationObserver(() => {
    const box = windows().find((one) => !before.has(one));
    if (!box) return;
    seen.disconnect();
    const gone = layers.add(() => box.dispatchEvent(new Event("cancel", { cancelable: true })));
    box.addEventListener("close", gone, { once: true });
  });
  seen.observe(document.body, { attributes: true, attributeFilter: ["open"], subtree: true });
  setTimeout(() => seen.disconnect(), SOON_MS);
}
