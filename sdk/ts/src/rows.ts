/**
 * The conversation list, kept live: rows from the server, and what has arrived since.
 *
 * A row from the server is absolute and wins. Between rows the list follows the entries that are
 * delivered: head, last message, unread. Where that cannot be exact (a recall of something this
 * device has not seen) the row is in doubt and asked for.
 */

import type { Cursor, Entry, InboxRow } from "./frames.gen.js";
import { EDIT, RECALL } from "./replica.js";
import type { Copy } from "./replica.js";

const TAIL = 64; // entries remembered per row to lay over an older row that arrives late

/** Rows by log, each as it stands now. A changed row is a new object. */
export class Rows {
  user = "";
  readonly byLog = new Map<string, InboxRow>();
  /** Rows that only the server can count. */
  readonly doubts = new Set<string>();
  #given = new Map<string, number>(); // head of the newest row from the server
  #tails = new Map<string, Entry[]>();
  #reads = new Map<string, { seq: number; mark: number }>(); // not confirmed yet

  /** `copy` gives that of an opened log: it can count. */
  constructor(private readonly copy: (log: string) => Copy | undefined = () => undefined) {}

  get(log: string): InboxRow | undefined {
    return this.byLog.get(log);
  }

  /** Take a row from the server and lay over it what it cannot know yet. */
  put(row: InboxRow): InboxRow {
    const log = row.log;
    const held = this.byLog.get(log);
    if (held && held.epoch === row.epoch) {
      const older = row.useq < held.useq || row.head < (this.#given.get(log) ?? 0);
      if (older && !row.until) return held; // overtaken by a newer one
    }
    this.doubts.delete(log);
    let tail = (this.#tails.get(log) ?? []).filter((entry) => entry.seq > row.head);
    this.#tails.delete(log);
    if (row.until || (held && held.epoch !== row.epoch)) tail = []; // not this user's, or another life
    this.byLog.set(log, row);
    this.#given.set(log, row.head);
    const read = this.#reads.get(log);
    if (read) this.#overlay(log, read.seq, read.mark);
    this.#fold(log, tail);
    return this.byLog.get(log)!;
  }

  /** Drop all rows: the server went back to an older state, they are not comparable. */
  forget(): void {
    for (const map of [this.byLog, this.#given, this.#tails, this.doubts]) map.clear();
  }

  /** Entries were delivered or read; the row if it changed. */
  apply(log: string, entries: readonly Entry[]): InboxRow | undefined {
    const before = this.byLog.get(log);
    if (!before) return undefined;
    this.#fold(log, entries);
    const row = this.byLog.get(log);
    return row === before ? undefined : row;
  }

  /** Somebody's cursors moved (our own too, from another device); the row if it changed. */
  cursor(cursor: Cursor): InboxRow | undefined {
    const row = this.byLog.get(cursor.log);
    if (!row) return undefined;
    if (!cursor.user || cursor.user === this.user) {
      if (cursor.read <= row.read) return undefined;
      this.#overlay(cursor.log, Math.min(cursor.read, row.head), -1);
      const now = this.byLog.get(cursor.log);
      return now === row ? undefined : now;
    }
    if (cursor.read <= row.peer_read && cursor.delivered <= row.peer_delivered) return undefined;
    const read = Math.max(row.peer_read, cursor.read);
    const delivered = Math.max(row.peer_delivered, cursor.delivered, read);
    const changed = { ...row, peer_read: read, peer_delivered: delivered };
    this.byLog.set(cursor.log, changed);
    return changed;
  }

  /** The user read up to `seq` here; rows show it until the server says so itself. */
  reading(log: string, seq: number, mark: number): void {
    this.#reads.set(log, { seq, mark });
    this.#overlay(log, seq, mark);
  }

  /** The server has the cursor. */
  readConfirmed(log: string, seq: number): void {
    const read = this.#reads.get(log);
    if (read && read.seq <= seq) this.#reads.delete(log);
  }

  // --- inside -----------------------------------------------------------------------------

  #overlay(log: string, seq: number, mark: number): void {
    const row = this.byLog.get(log);
    if (!row) return;
    const marked = row.marked && mark !== row.mark;
    if (seq <= row.read) {
      if (marked !== row.marked) this.byLog.set(log, { ...row, marked });
      return;
    }
    let unread: number | undefined = 0;
    if (seq < row.head) {
      const copy = this.copy(log);
      unread = copy && copy.last >= row.head ? copy.unread(seq, this.user) : undefined;
    }
    // where it cannot be counted here: the server's row follows its ack
    unread = Math.min(unread ?? row.head - seq, row.unread);
    const mentions = unread ? row.mentions : 0;
    const delivered = Math.max(row.delivered, seq);
    this.byLog.set(log, { ...row, read: seq, delivered, unread, mentions, marked });
  }

  #fold(log: string, entries: readonly Entry[]): void {
    let row = this.byLog.get(log)!;
    const tail = this.#tails.get(log) ?? [];
    for (const entry of entries) {
      if (entry.seq <= row.head || row.until) continue;
      row = this.#step(row, entry, tail);
      tail.push(entry);
    }
    if (tail.length) this.#tails.set(log, tail.slice(-TAIL));
    this.byLog.set(log, row);
  }

  /** `row` after `entry`. The difference of `ord` counts also what was missed between. */
  #step(row: InboxRow, entry: Entry, tail: readonly Entry[]): InboxRow {
    let unread = row.unread + entry.ord - row.ord;
    let last = row.last;
    if (entry.count) {
      last = entry;
      if (entry.from === this.user) unread = 0; // who writes has seen what was there
    } else if (entry.target) {
      last = amended(last, entry);
      if (entry.slot === RECALL && unread && entry.target > row.read) {
        unread -= this.#recalled(row, entry, tail);
      }
    }
    const mentions = unread > 0 ? row.mentions : 0;
    return { ...row, head: entry.seq, ord: entry.ord, unread: Math.max(0, unread), mentions, last };
  }

  /** How much less is unread by this recall. */
  #recalled(row: InboxRow, entry: Entry, tail: readonly Entry[]): number {
    const target = tail.find((held) => held.seq === entry.target);
    if (!target) {
      this.doubts.add(row.log); // older than what arrived here: counted? recalled before?
      return 0;
    }
    const again = tail.some((e) => e.target === target.seq && e.slot === RECALL);
    const answered = tail.some((e) => e.count && e.from === this.user && e.seq > target.seq);
    return target.count && target.from !== this.user && !again && !answered ? 1 : 0;
  }
}

function amended(last: Entry | null, entry: Entry): Entry | null {
  if (!last || entry.target !== last.seq) return last;
  if (entry.slot === RECALL) return { ...last, body: {} };
  return entry.slot === EDIT ? { ...last, body: entry.body } : last;
}
