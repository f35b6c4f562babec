/**
 * How far this device has come, and what of that the server does not have yet.
 *
 * Delivered cursors are sent by themselves, merged, without an answer. Read cursors are the
 * user's word: they are kept until the server has them.
 */

const PAUSE_MS = 600; // between two delivered cursors
const MOST = 128; // sent at once

/** A read cursor that the server has not confirmed. */
export interface Reading {
  seq: number;
  mark: number;
  sent: boolean;
  notBefore: number;
}

/** Own cursors, merged by max. */
export class Cursors {
  readonly reads = new Map<string, Reading>();
  #delivered = new Map<string, number>();
  #said = new Map<string, number>();
  #next = 0;

  /** This device has everything up to `seq`; the server knows of `known`. */
  deliver(log: string, seq: number, known = 0): void {
    const most = Math.max(known, this.#said.get(log) ?? 0, this.#delivered.get(log) ?? 0);
    if (seq > most) this.#delivered.set(log, seq);
  }

  /** Delivered cursors to send now; none before the pause is over. */
  take(now: number): [log: string, seq: number][] {
    if (!this.#delivered.size || now < this.#next) return [];
    this.#next = now + PAUSE_MS;
    const taken = [...this.#delivered].slice(0, MOST);
    for (const [log, seq] of taken) {
      this.#delivered.delete(log);
      this.#said.set(log, seq);
    }
    return taken;
  }

  /** When `take` or `takeReads` will have something. */
  due(): number | undefined {
    const times = [...this.reads.values()].filter((r) => !r.sent).map((r) => r.notBefore);
    if (this.#delivered.size) times.push(this.#next);
    return times.length ? Math.min(...times) : undefined;
  }

  /** The user has read up to `seq`; whether that is news. */
  read(log: string, seq: number, mark: number): boolean {
    const held = this.reads.get(log);
    if (!held) {
      this.reads.set(log, { seq, mark, sent: false, notBefore: 0 });
    } else if (seq > held.seq || mark > held.mark) {
      held.seq = Math.max(seq, held.seq);
      held.mark = Math.max(mark, held.mark);
    } else {
      return false;
    }
    return true;
  }

  /** Read cursors to send now, one at a time per log. */
  takeReads(now: number): [log: string, reading: Reading][] {
    const taken = [...this.reads].filter(([, held]) => !held.sent && held.notBefore <= now);
    for (const [, held] of taken) held.sent = true;
    return taken;
  }

  /** The server has this read cursor; whether there is nothing newer to send. */
  confirmed(log: string, seq: number, mark: number): boolean {
    const held = this.reads.get(log);
    if (!held) return true;
    if (held.seq <= seq && held.mark <= mark) {
      this.reads.delete(log);
      return true;
    }
    held.sent = false;
    return false;
  }

  /** The server could not take it now. */
  later(log: string, notBefore: number): void {
    const held = this.reads.get(log);
    if (held) Object.assign(held, { sent: false, notBefore });
  }

  /** Another tab takes over, or this one: what was sent may not have arrived. */
  again(): void {
    for (const held of this.reads.values()) held.sent = false;
  }
}
