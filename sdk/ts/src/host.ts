/** What the parts of a client share. */

import type { Events } from "./api.js";
import type { TabError } from "./errors.js";
import type { Ack } from "./frames.gen.js";
import type { Line } from "./line.js";
import type { Pending } from "./outbox.js";
import type { Session, SessionEvent } from "./session.js";
import type { Keeper } from "./store.js";

/** A call that ended: stored, or refused. `kept`: it stays in the outbox as failed. */
export type Ending = { ack: Ack } | { error: TabError; kept: boolean };

/** What one tab tells the others; see `tabs.ts`. */
export type Note =
  | { m: "event"; event: SessionEvent }
  | { m: "add"; pending: Pending }
  | { m: "mark"; op: string; state: "queued" | "sent" }
  | { m: "done"; op: string; ending: Ending }
  | { m: "drop"; op: string }
  | { m: "retry"; op: string }
  | { m: "read"; log: string; seq: number; mark: number }
  | { m: "confirmed"; log: string; seq: number; mark: number }
  | { m: "forget" };

export interface Host {
  readonly keeper: Keeper;
  /** Write changes that nobody waits for. */
  keep(changes: Iterable<readonly [string, unknown]>): void;
  readonly line: Line;
  /** Only where this tab owns the connection. */
  readonly session: Session | undefined;
  emit<K extends keyof Events>(event: K, what: Events[K]): void;
  /** Something may be due, or changed: look at the end of this turn. */
  poke(): void;
  /** Tell the other tabs. */
  tell(note: Note): void;
  /** The store cannot be written: what is called from now on would not survive. */
  trouble(error: unknown): void;
}
