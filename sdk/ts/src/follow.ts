/** Opened logs: a copy each, its holes read from the server, and readers that miss nothing. */

import type { Entry, InboxRow, Page, Reset } from "./frames.gen.js";
import type { Host } from "./host.js";
import { backoffMs } from "./outbox.js";
import { OpenLog } from "./openlog.js";
import type { Done, Saved } from "./replica.js";
import { LogCut, Refusal } from "./refusal.js";
import { now } from "./shell.js";

const PAGE = 100; // entries asked for at once, and kept in the store
const ASK_MS = 30_000;
const SAVE_MS = 1_000;
const CLOSED = "the log was closed";

type Range = { after: number } | { before: number } | { around: number };

/** The first seq the user may read. */
export function visibleFloor(row: InboxRow): number {
  return Math.max(row.since, row.floor, row.cleared + 1, 1);
}

/** Copies by log. What they apply goes to `applied(log, entries)`, in order, once. */
export class Follower {
  readonly opened = new Map<string, OpenLog>();
  #over: Error | undefined;
  #unsaved = new Set<OpenLog>();
  #saveAt: number | undefined;

  readonly #host: Host;
  readonly #applied: (log: string, entries: readonly Entry[]) => void;
  readonly #row: (log: string) => InboxRow | undefined;
  readonly #keep: number;

  constructor(
    host: Host,
    applied: (log: string, entries: readonly Entry[]) => void,
    row: (log: string) => InboxRow | undefined,
    keep: number,
  ) {
    this.#host = host;
    this.#applied = applied;
    this.#row = row;
    this.#keep = keep;
  }

  // --- for the application --------------------------------------------------------------------

  async open(log: string): Promise<OpenLog> {
    let held = this.opened.get(log);
    if (!held || held.error) {
      const saved = await this.#saved(log);
      const other = this.opened.get(log);
      if (other && other !== held) return this.open(log); // somebody was faster
      held = new OpenLog(log, this, this.#keep);
      this.opened.set(log, held);
      this.#seed(held, saved);
    }
    held.count += 1;
    try {
      this.#host.poke();
      while (!held.loaded) {
        this.#check(held);
        await held.changed();
      }
    } catch (error) {
      held.close();
      throw error;
    }
    return held;
  }

  #seed(held: OpenLog, saved: Saved | undefined): void {
    const row = this.#row(held.log); // as it is now, after the wait for the store
    if (!row) return;
    const { copy } = held;
    if (saved?.epoch === row.epoch) copy.seed(saved, visibleFloor(row));
    held.loaded = copy.last > 0;
    copy.reset(visibleFloor(row), row.epoch, now());
    copy.hint(row.head, now(), true);
  }

  /** Nobody has it open any more. */
  drop(held: OpenLog): void {
    if (this.opened.get(held.log) !== held) return;
    this.saveNow();
    this.opened.delete(held.log);
    held.error ??= new Refusal(CLOSED);
    held.fire();
  }

  read(log: string, range: Range, limit: number): Promise<Page> {
    return this.#host.line.ask({ t: "read", log, ...range, limit }, ASK_MS) as Promise<Page>;
  }

  async *entries(log: string, after?: number): AsyncGenerator<Entry, void, void> {
    const held = await this.open(log);
    try {
      const { copy } = held;
      let at = after ?? copy.last;
      let epoch = copy.epoch;
      let begun = at > 0 || after === undefined;
      for (;;) {
        if (epoch && copy.epoch !== epoch) {
          throw new LogCut(log, { low: 0, high: copy.floor - 1, reason: "epoch" });
        }
        epoch = copy.epoch;
        if (at + 1 < copy.floor) {
          if (begun) throw new LogCut(log, { low: at + 1, high: copy.floor - 1, reason: "floor" });
          at = copy.floor - 1;
        }
        const past = at + 1 < copy.first || (copy.jumped && at >= copy.last && at < copy.head);
        const batch = past ? await this.#range(held, at) : copy.entries(at);
        for (const entry of batch) {
          yield entry;
          at = entry.seq;
          begun = true;
        }
        if (!batch.length && at >= copy.last) {
          this.#check(held);
          await held.changed();
        }
      }
    } finally {
      held.close();
    }
  }

  /** Entries that are not in memory any more, from the log. */
  async #range(held: OpenLog, at: number): Promise<Entry[]> {
    this.#check(held);
    const { copy, log } = held;
    const asked = copy.head;
    let page: Page;
    try {
      page = await this.read(log, { after: at }, PAGE);
    } catch (error) {
      if (!(error instanceof Refusal && error.retry)) throw error;
      const pause = Math.max(error.retryAfterMs, backoffMs(++held.tries));
      await new Promise((resolve) => setTimeout(resolve, pause));
      return [];
    }
    if (page.epoch !== copy.epoch || page.floor > copy.floor) {
      this.took(held, copy.merge(page, now(), asked));
      return []; // the caller looks at the new floor first
    }
    const first = page.entries[0]?.seq ?? copy.first;
    if (first !== at + 1) throw new LogCut(log, { low: at + 1, high: first - 1, reason: "floor" });
    return page.entries;
  }

  #check(held: OpenLog): void {
    const error = this.#over ?? held.error;
    if (error) throw error;
  }

  // --- from the connection --------------------------------------------------------------------

  /** Take entries of a log; false where no copy takes them in. */
  deliver(log: string, entries: readonly Entry[]): boolean {
    const held = this.opened.get(log);
    if (!held) return false;
    const jumped = held.copy.jumped;
    this.took(held, { applied: held.copy.offer(entries, now()), cut: undefined }, jumped);
    return !jumped;
  }

  /** The log reaches `head`; false where it is not opened. */
  hint(log: string, head: number, urgent = false): boolean {
    const held = this.opened.get(log);
    held?.copy.hint(head, now(), urgent);
    this.#host.poke();
    return held !== undefined;
  }

  /** The server says: start again at a floor. */
  reset(frame: Reset): void {
    const held = this.opened.get(frame.log);
    if (held) this.took(held, { applied: [], cut: held.copy.reset(frame.floor, frame.epoch, now()) });
    else this.#prune(frame.log, frame.floor, frame.epoch);
  }

  /** A row came: it tells of head, floor and epoch of its log. */
  rowCame(before: InboxRow | undefined, row: InboxRow): void {
    const floor = visibleFloor(row);
    const held = this.opened.get(row.log);
    if (held) {
      const cut = held.copy.reset(floor, row.epoch, now());
      const applied = held.copy.offer([], now()); // what waited behind the floor
      held.copy.hint(row.head, now());
      this.took(held, { applied, cut });
    } else if (before && (before.epoch !== row.epoch || visibleFloor(before) < floor)) {
      this.#prune(row.log, floor, row.epoch);
    }
  }

  /** Deleted by this user for this user. */
  hide(log: string, seqs: readonly number[]): void {
    const held = this.opened.get(log);
    if (!held) return;
    for (const seq of seqs) held.copy.hide(seq);
    this.took(held, { applied: [], cut: undefined }, true);
  }

  /** Everything may be asked again. */
  connected(): void {
    for (const held of this.opened.values()) held.tries = held.notBefore = 0;
  }

  /** Wake all readers for the last time. */
  stop(why: Error): void {
    this.#over = why;
    for (const held of this.opened.values()) held.fire();
  }

  // --- reading what is missing ----------------------------------------------------------------

  due(): number | undefined {
    let first = this.#saveAt;
    for (const held of this.opened.values()) {
      if (held.filling || held.error) continue;
      const due = held.loaded ? held.copy.due() : 0;
      if (due !== undefined) first = Math.min(first ?? Infinity, Math.max(due, held.notBefore));
    }
    return first;
  }

  /** Start to read what has been missing long enough. */
  work(at: number): void {
    for (const held of this.opened.values()) {
      if (held.filling || held.error || at < held.notBefore) continue;
      if (!held.loaded || held.copy.missing(at).length) void this.#fill(held);
    }
  }

  /** Read until nothing is missing; a refusal for now makes a pause, for good ends it. */
  async #fill(held: OpenLog): Promise<void> {
    held.filling = true;
    const { copy } = held;
    const state = () => `${held.loaded} ${copy.last} ${copy.missing(now())[0]?.low}`;
    try {
      while (!held.loaded || copy.missing(now()).length) {
        const before = state();
        await this.#readSome(held);
        if (state() === before) {
          this.#pause(held, 1000); // the server knows of it but does not show it: do not spin
          return;
        }
      }
      held.tries = 0;
    } catch (error) {
      if (error instanceof Refusal && error.retry) this.#pause(held, error.retryAfterMs);
      else if (error !== this.#over) held.error = error as Error;
    } finally {
      held.filling = false;
      held.fire();
      this.#host.poke();
    }
  }

  #pause(held: OpenLog, least: number): void {
    held.tries += 1;
    held.notBefore = now() + Math.max(least, backoffMs(held.tries));
  }

  async #readSome(held: OpenLog): Promise<void> {
    const { copy, log } = held;
    const asked = copy.head;
    let done: Done;
    if (!held.loaded || copy.far) {
      const page = await this.read(log, { before: 0 }, PAGE);
      if (copy.jumped) return; // somebody jumped meanwhile
      done = copy.restart(page, now(), asked);
    } else {
      const hole = copy.missing(now())[0]!;
      const limit = Math.min(PAGE, hole.high - hole.low + 1);
      done = copy.merge(await this.read(log, { after: hole.low - 1 }, limit), now(), asked);
    }
    held.loaded = true;
    this.took(held, done);
  }

  /** Tell what a step did. `changed`: also where nothing was applied. */
  took(held: OpenLog, { applied, cut }: Done, changed = false): void {
    const { log } = held;
    if (cut) this.#host.emit("cut", { log, ...cut });
    if (applied.length) this.#applied(log, applied);
    if (applied.length || cut || changed) {
      this.#unsaved.add(held);
      this.#saveAt ??= now() + SAVE_MS;
      this.#host.emit("log", { log, entries: applied });
      held.fire();
    }
    this.#host.poke();
  }

  // --- the store ------------------------------------------------------------------------------

  /** Write the copies that changed, if it is time. */
  saveDue(at: number): void {
    if (this.#saveAt !== undefined && at >= this.#saveAt) this.saveNow();
  }

  saveNow(): void {
    this.#saveAt = undefined;
    if (this.#over) return; // after a log-out nothing is written any more
    const changes: [string, unknown][] = [];
    for (const held of this.#unsaved) {
      if (held.live) changes.push(["p/" + held.log, held.copy.save(PAGE)]);
    }
    this.#unsaved.clear();
    if (changes.length) this.#host.keep(changes);
  }

  /** Forget what the store has of a log below `floor`, all of it where the epoch is another. */
  #prune(log: string, floor: number, epoch: number): void {
    if (!this.#host.session) return; // the tab that connects does it
    this.#saved(log).then((saved) => {
      if (!saved) return;
      const entries = saved.entries.filter((entry) => entry.seq >= floor);
      const stays = saved.epoch === epoch && entries.length > 0;
      this.#host.keep([["p/" + log, stays ? { ...saved, entries } : undefined]]);
    }, this.#host.trouble);
  }

  async #saved(log: string): Promise<Saved | undefined> {
    return (await this.#host.keeper.opened).get("p/" + log) as Promise<Saved | undefined>;
  }
}

