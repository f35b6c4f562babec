/** What the parts of a client ask of the connection: this tab's own, or another tab's. */

import type { ClientFrame, Page, Result } from "./frames.gen.js";
import { Offline } from "./refusal.js";
import type { Asking } from "./session.js";

export interface Line {
  readonly open: boolean;
  /** A read or query, over reconnects. Rejects with what the server refuses, Offline, Stopped. */
  ask(frame: Asking, withinMs: number): Promise<Page | Result>;
  /** Best effort; dropped when there is no connection. */
  say(frame: ClientFrame & { t: "signal" | "cursor" }): void;
  wake(): void;
  away(away: boolean): void;
}

/** No connection yet, and nobody to ask for one. */
export const aloneLine: Line = {
  open: false,
  ask: () => Promise.reject(new Offline("not started")),
  say: () => {},
  wake: () => {},
  away: () => {},
};
