/**
 * Calls that wait to be acknowledged: their order, their limits, when each is sent again.
 *
 * Calls of one log form a lane. Of a lane only the first is on the way, so that a refusal for
 * now (3xx) of one call cannot let a later one overtake it; lanes do not wait for each other.
 */

import type { Json, PendingCall } from "./api.js";
import { OutboxFull } from "./refusal.js";

const MOST_CALLS = 1000;
const MOST_BYTES = 8 * 1024 * 1024;
const MOST_FAILED = 100;

/** Ids that sort by time: 10 characters of ms, 4 of a count, 12 of randomness. */
export class OpIds {
  #ms = 0;
  #count = 0;

  next(): string {
    const now = Math.max(Date.now(), this.#ms); // rising also when the clock goes back
    this.#count = now === this.#ms ? this.#count + 1 : 0;
    this.#ms = now;
    const random = crypto.getRandomValues(new Uint8Array(12));
    const tail = Array.from(random, (byte) => base32(byte & 31, 1)).join("");
    return base32(now, 10) + base32(this.#count, 4) + tail;
  }
}

function base32(value: number, chars: number): string {
  return value.toString(32).padStart(chars, "0"); // sorts as it counts
}

/** A call without an answer. Its JSON fields are what the store keeps under `o/<key>`. */
export interface Pending extends PendingCall {
  /** Sorts by the order in which calls were made. */
  key: string;
  /** Stays, as `failed`, when it is refused for good. */
  keep: boolean;
  size: number;
}

interface Lasting {
  pending: Pending;
  tries: number;
  notBefore: number;
  /** Not in the store yet. */
  held: boolean;
}

/** Jitter: anywhere up to the ceiling of 0.3 to 30 s, never under a tenth of it. */
export function backoffMs(tries: number): number {
  const ceiling = Math.min(30_000, 300 * 2 ** Math.min(Math.max(0, tries - 1), 16));
  return Math.max(ceiling / 10, Math.random() * ceiling);
}

/** The calls in order. A full outbox refuses, it never drops. */
export class Outbox {
  #calls = new Map<string, Lasting>();
  #bytes = 0;
  #view: readonly PendingCall[] | undefined;

  /** As the application sees it; the same array as long as nothing changed. */
  get list(): readonly PendingCall[] {
    return (this.#view ??= Array.from(this.#calls.values(), ({ pending }) => plain(pending)));
  }

  get(op: string): Pending | undefined {
    return this.#calls.get(op)?.pending;
  }

  /** Whether the call is not in the store yet: it cannot have been sent. */
  isHeld(op: string): boolean {
    return this.#calls.get(op)?.held === true;
  }

  all(): Pending[] {
    return Array.from(this.#calls.values(), ({ pending }) => pending);
  }

  /** Queue a call at the end; a held one is not sent before it is released. */
  add(key: string, call: { op: string; log: string; name: string; args: Json; keep: boolean }): Pending {
    const { op, log, name, args, keep } = call;
    const size = JSON.stringify(args).length + op.length + log.length + name.length + 64;
    if (this.#calls.size >= MOST_CALLS) throw new OutboxFull(`${this.#calls.size} calls wait`);
    if (this.#bytes + size > MOST_BYTES) throw new OutboxFull(`${this.#bytes} bytes wait`);
    const pending: Pending = { key, op, log, name, args, keep, size, at: Date.now(), state: "queued" };
    this.load(pending, true);
    return pending;
  }

  /** Put a call in that is saved, or being saved; whatever the limits. */
  load(pending: Pending, held = false): void {
    this.done(pending.op);
    this.#calls.set(pending.op, { pending, tries: 0, notBefore: 0, held });
    this.#bytes += pending.size;
    this.#view = undefined;
  }

  release(op: string): void {
    const held = this.#calls.get(op);
    if (held) held.held = false;
  }

  /** At most `most` calls to send now; they count as sent. The oldest first. */
  ready(now: number, most: number): Pending[] {
    const able: Pending[] = [];
    for (const { pending, held, notBefore } of this.#heads()) {
      if (able.length >= most) break;
      if (pending.state === "queued" && !held && notBefore <= now) able.push(pending);
    }
    for (const pending of able) this.mark(pending.op, "sent");
    return able;
  }

  /** When a call may be sent. */
  due(): number | undefined {
    let first: number | undefined;
    for (const { pending, held, notBefore } of this.#heads()) {
      if (pending.state === "queued" && !held) first = Math.min(first ?? Infinity, notBefore);
    }
    return first;
  }

  /** The call has its final answer: forget it, and give it back if it was waiting. */
  done(op: string): Pending | undefined {
    const held = this.#calls.get(op);
    if (!held) return undefined;
    this.#calls.delete(op);
    this.#bytes -= held.pending.size;
    this.#view = undefined;
    return held.pending;
  }

  /** Refused for now: send it again, with the same op, after a growing pause. */
  later(op: string, now: number, retryAfterMs: number): void {
    const held = this.#calls.get(op);
    if (!held) return;
    held.tries += 1;
    held.notBefore = now + Math.max(retryAfterMs, backoffMs(held.tries));
    this.mark(op, "queued");
  }

  /** Change what is told of a call. */
  mark(op: string, state: PendingCall["state"], error?: PendingCall["error"]): void {
    const held = this.#calls.get(op);
    if (!held) return;
    held.pending.state = state;
    if (error) held.pending.error = error;
    else delete held.pending.error;
    this.#view = undefined;
  }

  /** Failed calls beyond what is kept, the oldest. */
  surplus(): Pending[] {
    const failed = this.all().filter((pending) => pending.state === "failed");
    return failed.slice(0, Math.max(0, failed.length - MOST_FAILED));
  }

  /** The first call of each lane that has not failed. */
  *#heads(): Iterable<Lasting> {
    const seen = new Set<string>();
    for (const lasting of this.#calls.values()) {
      const { state, log } = lasting.pending;
      if (state === "failed" || seen.has(log)) continue;
      seen.add(log);
      yield lasting;
    }
  }
}

function plain({ op, log, name, args, at, state, error }: Pending): PendingCall {
  return { op, log, name, args, at, state, ...(error && { error }) };
}
