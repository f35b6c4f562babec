/** The conversation list over a connection: rows, what is in doubt, own cursors. */

import { framesOf } from "./codec.js";
import { Cursors } from "./cursors.js";
import type { Cursor, Entry, InboxRow, Inbox as InboxFrame, Result } from "./frames.gen.js";
import type { Follower } from "./follow.js";
import type { Host } from "./host.js";
import { backoffMs } from "./outbox.js";
import { Refusal } from "./refusal.js";
import { Rows } from "./rows.js";
import { Heads } from "./heads.js";
import type { SessionEvent } from "./session.js";
import { now } from "./shell.js";

const DOUBT_MS = 500; // a row in doubt is asked for after this; what was on its way has come by then
const ASKERS = 4; // rows asked for at once
const ASK_MS = 30_000;

/** Keeps `rows` right, from what the session brings. */
export class Inbox {
  readonly rows: Rows;
  readonly cursors = new Cursors();
  token = 0;
  /** Rows that changed and of which nobody was told yet. */
  readonly changed = new Map<string, InboxRow>();
  #asking = new Set<string>();
  #doubtAt: number | undefined;
  #tries = 0;

  readonly #host: Host;
  readonly #follower: Follower;

  constructor(
    host: Host,
    follower: Follower,
  ) {
    this.#host = host;
    this.#follower = follower;

    this.rows = new Rows((log) => follower.opened.get(log)?.copy);
  }

  // --- from the session -----------------------------------------------------------------------

  /** Rows of a sync, or pushed. */
  take(event: SessionEvent & { t: "rows" }): void {
    const leads = this.#host.session !== undefined;
    const ends = event.token >= 0;
    if (leads && ends && event.token < this.token) return this.#wentBack();
    const changed = event.rows.map((row) => this.put(row));
    for (const [log, head] of event.large) {
      const row = this.rows.get(log);
      if (row && head > row.head) {
        this.#follower.hint(log, head, true);
        this.doubt(log);
      }
    }
    if (ends) this.token = event.token;
    if (leads && (changed.length || ends)) this.#save(changed, ends);
  }

  /** Take a row; as it is shown then. */
  put(given: InboxRow): InboxRow {
    const log = given.log;
    const before = this.rows.get(log);
    const row = this.rows.put(given);
    this.#follower.rowCame(before, row);
    if (this.#host.session) this.cursors.deliver(log, row.head, given.delivered);
    const reading = this.cursors.reads.get(log);
    if (reading && !reading.sent && given.read >= reading.seq) {
      const stillMarked = given.marked && given.mark === reading.mark;
      if (!stillMarked) this.confirmed(log, given.read, reading.mark);
    }
    this.#note(row);
    return row;
  }

  /** The server was restored to an older state: nothing that is held can be trusted. */
  #wentBack(): void {
    const logs = [...this.rows.byLog.keys()];
    this.forget();
    this.#host.tell({ m: "forget" });
    const gone = logs.flatMap((log) => ["r/" + log, "p/" + log]);
    const changes = [...gone, "token", "large"].map((key) => [key, undefined] as const);
    this.#host.keep(changes);
    this.#host.session!.heads = new Heads();
    this.#host.session!.sync();
  }

  forget(): void {
    this.rows.forget();
    this.token = 0;
    this.#host.emit("rows", []);
    this.#host.poke();
  }

  /** Entries were applied by a copy (opened: in order), or just delivered. */
  entries(log: string, entries: readonly Entry[], opened: boolean): void {
    const before = this.rows.get(log);
    const last = entries.at(-1);
    if (!before || !last) return; // its row is on the way
    const row = this.rows.apply(log, entries);
    if (this.rows.doubts.has(log)) this.doubt(log);
    if ((opened || !before.large) && entries.some((entry) => entry.from !== this.rows.user)) {
      if (this.#host.session) this.cursors.deliver(log, last.seq, before.delivered);
      else if (before.large) this.#host.line.say({ t: "cursor", log, delivered: last.seq });
    }
    if (row) this.#note(row);
  }

  /** Entries of a log that is not opened, as they came. */
  delivered(log: string, entries: readonly Entry[]): void {
    const row = this.rows.get(log);
    this.entries(log, entries, false);
    // something is missing between: counted by `ord`, but who knows
    if (row && entries[0] && entries[0].seq > row.head + 1) this.doubt(log);
  }

  /** Somebody's cursors moved. */
  cursor(cursor: Cursor): void {
    const row = this.rows.cursor(cursor);
    const { log, user, delivered, read } = cursor;
    this.#host.emit("receipt", { log, user, delivered: Math.max(delivered, read), read });
    if (row) this.#note(row);
  }

  // --- read cursors ---------------------------------------------------------------------------

  async markRead(log: string, seq?: number): Promise<void> {
    const row = this.rows.get(log);
    let upto = seq ?? row?.head ?? 0;
    const mark = row?.marked ? row.mark : -1;
    if (row) {
      upto = Math.min(upto, row.head);
      if (upto <= row.read && mark < 0) return;
    }
    if (!this.reading(log, upto, mark)) return;
    const held = this.cursors.reads.get(log)!;
    const note = { seq: held.seq, mark: held.mark };
    await this.#host.keeper.save([["c/" + log, note]]);
    this.#host.tell({ m: "read", log, ...note });
    this.#host.poke();
  }

  /** The person read up to here, in this tab or another; whether that is news. */
  reading(log: string, seq: number, mark: number): boolean {
    const before = this.rows.get(log);
    if (!this.cursors.read(log, seq, mark)) return false;
    this.rows.reading(log, seq, mark);
    const row = this.rows.get(log);
    if (row && row !== before) this.#note(row);
    this.#host.poke();
    return true;
  }

  /** The server has a read cursor. */
  confirmed(log: string, seq: number, mark: number): void {
    this.#tries = 0;
    if (!this.cursors.confirmed(log, seq, mark)) return this.#host.poke();
    if (this.#host.session) this.#host.tell({ m: "confirmed", log, seq, mark });
    this.#drop(log, seq);
  }

  #drop(log: string, seq: number): void {
    this.cursors.reads.delete(log);
    this.rows.readConfirmed(log, seq);
    if (this.#host.session) this.#host.keep([["c/" + log, undefined]]);
  }

  /** The server did not take a read cursor. */
  refused(log: string, why: Refusal): void {
    if (why.retry) {
      this.#tries += 1;
      this.cursors.later(log, now() + Math.max(why.retryAfterMs, backoffMs(this.#tries)));
      return;
    }
    this.#host.tell({ m: "confirmed", log, seq: Infinity, mark: Infinity });
    this.#drop(log, Infinity);
    this.doubt(log); // the row shows what the server did not take
  }

  // --- rows in doubt --------------------------------------------------------------------------

  /** This row cannot be counted here: ask for it soon. */
  doubt(log: string): void {
    this.rows.doubts.add(log);
    // the tab that connects asks first, and tells the others
    this.#doubtAt ??= now() + (this.#host.session ? DOUBT_MS : 3 * DOUBT_MS);
    this.#host.poke();
  }

  due(): number | undefined {
    const times = this.#host.session ? [this.cursors.due()] : [];
    if (this.rows.doubts.size && this.#asking.size < ASKERS) times.push(this.#doubtAt);
    return least(times);
  }

  /** Say how far this device has come; ask for rows in doubt. */
  work(at: number): void {
    const { session } = this.#host;
    if (session) {
      for (const [log, delivered] of this.cursors.take(at)) session.move(log, { delivered });
      for (const [log, { seq, mark }] of this.cursors.takeReads(at)) {
        session.moveDurably(log, { read: seq, mark });
      }
    }
    if (this.#doubtAt === undefined || at < this.#doubtAt) return;
    for (const log of this.rows.doubts) {
      if (this.#asking.size >= ASKERS) return;
      if (!this.#asking.has(log)) void this.#resolve(log);
    }
    if (!this.rows.doubts.size) this.#doubtAt = undefined;
  }

  /** Get one row from the server. */
  async #resolve(log: string): Promise<void> {
    this.#asking.add(log);
    this.rows.doubts.delete(log);
    try {
      const answer = (await this.#host.line.ask({ t: "query", name: "log", log }, ASK_MS)) as Result;
      const page = { rows: [answer.body], upto: 0 };
      const [frame] = framesOf({ t: "inbox", page }) as [InboxFrame]; // checked, defaults filled in
      const { rows } = frame.page;
      const shown = rows.map((row) => this.put(row));
      if (!this.#host.session) return;
      this.#host.tell({ m: "event", event: { t: "rows", rows, large: [], token: -1 } });
      this.#save(shown, false);
    } catch (error) {
      if (error instanceof Refusal && error.retry) {
        this.#doubtAt = now() + Math.max(1000, error.retryAfterMs);
        this.rows.doubts.add(log);
      }
    } finally {
      this.#asking.delete(log);
      if (!this.rows.doubts.size) this.#doubtAt = undefined;
      this.#host.poke();
    }
  }

  #save(rows: readonly InboxRow[], ends: boolean): void {
    const changes: [string, unknown][] = rows.map((row) => ["r/" + row.log, row]);
    if (ends) changes.push(["token", this.token], ["large", [...this.#host.session!.heads.large]]);
    this.#host.keep(changes);
  }

  #note(row: InboxRow): void {
    this.changed.set(row.log, row);
    this.#host.poke();
  }
}

/** The smallest that is there. */
export function least(times: readonly (number | undefined)[]): number | undefined {
  let first: number | undefined;
  for (const at of times) if (at !== undefined && (first === undefined || at < first)) first = at;
  return first;
}
