/**
 * What a device knows of one log: no socket, no clock of its own, no timer.
 *
 * The receive rule: an entry with seq == last + 1 is applied, a lower one is ignored, a higher
 * one waits in a buffer. What is still missing after a grace is read from the log. So it does
 * not matter what the connection loses, repeats or reorders.
 *
 * A copy is `jumped` after `around`: it holds a part of the past, and what arrives does not join
 * it. `newer` leads back; then it is live again.
 */

import type { Json, Shown } from "./api.js";
import type { Entry, Page } from "./frames.gen.js";
import type { Cut } from "./refusal.js";

export const GRACE_MS = 500; // a hole younger than this may still be filled by what is on its way
export const RECALL = "recall";
export const EDIT = "edit";
export const HIDDEN = "hidden";
const NONE: ReadonlyMap<string, Entry> = new Map();

/** Seqs low … high exist and have not been seen. */
export interface Hole {
  low: number;
  high: number;
}

/** What a step did: entries applied in order, and what was passed over. */
export interface Done {
  applied: Entry[];
  cut: Cut | undefined;
}

/** Entry and its changes as they are kept on disk. */
export interface Saved {
  epoch: number;
  entries: Entry[];
  amends: Entry[];
}

/** The newest part of one log. Bounded by `keep`, and by what `older` was asked for. */
export class Copy {
  epoch = 0; // 0 = not known yet: the first page tells
  floor = 1;
  last = 0;
  head = 0;
  jumped = false;
  #window: Entry[] = [];
  #buffer = new Map<number, Entry>();
  #amends = new Map<number, Map<string, Entry>>();
  #views = new Map<number, Shown>();
  #list: readonly Shown[] | undefined;
  #room: number; // entries that stay
  #waiting: number | undefined; // when the hole that is open now was first seen
  #urgent = false;

  constructor(
    readonly log: string,
    private readonly keep = 500,
  ) {
    this.#room = keep;
  }

  /** Begin with cached entries; only for an empty copy. */
  seed(saved: Saved, floor: number): void {
    const entries = saved.entries.filter((entry) => entry.seq >= floor);
    if (!entries[0]) return;
    this.last = entries[0].seq - 1;
    for (const amend of saved.amends) this.#amend(amend);
    this.offer(entries, 0);
  }

  /** What `seed` takes: the newest `most` entries. */
  save(most: number): Saved {
    const entries = this.#window.slice(-most);
    const seqs = new Set(entries.map((entry) => entry.seq));
    const amends = entries.flatMap(({ seq }) => [...(this.#amends.get(seq) ?? NONE).values()]);
    return { epoch: this.epoch, entries, amends: amends.filter(({ seq }) => !seqs.has(seq)) };
  }

  // --- what arrives -----------------------------------------------------------------------

  /** Take what a deliver brought, in any order; what was applied, in seq order. */
  offer(entries: readonly Entry[], now: number): Entry[] {
    const applied: Entry[] = [];
    for (const entry of entries) {
      if (this.jumped) {
        this.head = Math.max(this.head, entry.seq);
        this.#amend(entry);
      } else if (entry.seq === this.last + 1) {
        this.#apply(entry, applied);
        this.#followOn(applied);
      } else if (entry.seq > this.last) {
        if (this.#buffer.size < this.keep) this.#buffer.set(entry.seq, entry);
        this.head = Math.max(this.head, entry.seq);
      }
    }
    this.#followOn(applied); // a floor that rose may have closed the hole before the buffer
    if (this.#window.length > this.#room + (this.#room >> 2)) this.#cutFront(this.#room);
    this.#noteHole(now);
    return applied;
  }

  /** The log is known to reach `head`. `urgent`: nothing is on its way (behind). */
  hint(head: number, now: number, urgent = false): void {
    this.head = Math.max(this.head, head);
    this.#noteHole(now);
    this.#urgent = this.head > this.last && (this.#urgent || urgent);
  }

  /** Take a page read after `last`. `asked` is what `head` was when the read was sent. */
  merge(page: Page, now: number, asked: number): Done {
    const cut = this.#align(page.floor, page.epoch, now);
    for (const entry of page.amends) this.#amend(entry);
    const applied = this.offer(page.entries, now);
    // The log itself said how far it may be read: drop older hints it does not bear out.
    if (this.head > asked || page.head > this.last) this.head = Math.max(this.head, page.head);
    else this.head = Math.max(this.last, ...this.#buffer.keys());
    this.#noteHole(now);
    return { applied, cut };
  }

  /** Begin again at the newest page; for the first load, and a hole larger than `keep`. */
  restart(page: Page, now: number, asked: number): Done {
    let cut = this.#align(page.floor, page.epoch, now);
    const first = page.entries[0]?.seq ?? page.head + 1;
    if (this.jumped || first > this.last + 1) {
      if (!cut && !this.jumped && this.last >= this.floor) {
        cut = { low: this.last + 1, high: first - 1, reason: "far" };
      }
      this.jumped = false;
      this.#empty(first - 1);
    }
    const { applied } = this.merge(page, now, asked);
    this.older(page, this.keep - this.#window.length);
    return { applied, cut };
  }

  /** Put the part of `page` before `first` in front, at most `most`; how many that was. */
  older(page: Page, most = Infinity): number {
    if (page.epoch !== this.epoch || most <= 0) return 0;
    let fresh = page.entries.filter((e) => e.seq >= this.floor && e.seq < this.first);
    if (fresh.at(-1)?.seq !== this.first - 1) return 0;
    if (fresh.length > most) fresh = fresh.slice(-most);
    this.#window = [...fresh, ...this.#window];
    for (const entry of page.amends) this.#amend(entry);
    for (const entry of this.#window) this.#amend(entry);
    this.#room = Math.max(this.#room, this.#window.length);
    this.#list = undefined;
    return fresh.length;
  }

  /** Replace what is held by a page from the middle. */
  jump(page: Page, now: number): Cut | undefined {
    const cut = this.#align(page.floor, page.epoch, now);
    const first = page.entries[0]?.seq ?? page.head + 1;
    this.#empty(first - 1);
    this.#buffer.clear();
    this.jumped = true;
    this.#room = this.keep;
    this.onward(page, now);
    return cut;
  }

  /** Add a page read after `last` of a jumped copy; the entries that are new. */
  onward(page: Page, now: number): Entry[] {
    const applied: Entry[] = [];
    for (const entry of page.amends) this.#amend(entry);
    for (const entry of page.entries) if (entry.seq === this.last + 1) this.#apply(entry, applied);
    this.#room = Math.max(this.#room, this.#window.length);
    this.head = Math.max(this.head, page.head);
    if (this.last >= page.head) this.jumped = false;
    this.#noteHole(now);
    return applied;
  }

  /** Deleted for this user alone: show it as a page read now would. */
  hide(seq: number): void {
    const entry = this.get(seq);
    if (entry) this.#replace({ ...entry, type: HIDDEN, body: {} });
  }

  /** The server says: drop it, start at `floor` of `epoch`. */
  reset(floor: number, epoch: number, now: number): Cut | undefined {
    if (epoch === this.epoch || !this.epoch) return this.#align(floor, epoch || this.epoch, now);
    this.#buffer.clear();
    this.#empty(floor - 1);
    this.epoch = epoch;
    this.floor = floor;
    this.head = this.last;
    this.jumped = this.#urgent = false;
    this.#waiting = undefined;
    return { low: 0, high: floor - 1, reason: "epoch" };
  }

  /** Forget what is above `keep`. */
  trim(): void {
    this.#room = this.keep;
    if (this.#window.length > this.keep) this.#cutFront(this.keep);
  }

  // --- what is missing --------------------------------------------------------------------

  /** The hole is larger than what is kept: restart at the newest page instead. */
  get far(): boolean {
    return this.head - this.last > this.keep;
  }

  /** When `missing` will have something to say. */
  due(): number | undefined {
    if (this.#waiting === undefined || this.jumped) return undefined;
    return this.#urgent ? this.#waiting : this.#waiting + GRACE_MS;
  }

  /** What must be read now: nothing while the grace of the oldest hole runs. */
  missing(now: number): Hole[] {
    const due = this.due();
    if (due === undefined || now < due) return [];
    const holes: Hole[] = [];
    let low = this.last + 1;
    for (const seq of [...this.#buffer.keys()].sort((a, b) => a - b)) {
      if (seq > low) holes.push({ low, high: seq - 1 });
      low = seq + 1;
    }
    if (low <= this.head) holes.push({ low, high: this.head });
    return holes;
  }

  // --- what is held -----------------------------------------------------------------------

  /** The lowest seq held; last + 1 when nothing is. */
  get first(): number {
    return this.#window[0]?.seq ?? this.last + 1;
  }

  /** Held entries with seq > `after`. */
  entries(after = 0): Entry[] {
    return this.#window.slice(Math.max(0, after + 1 - this.first));
  }

  get(seq: number): Entry | undefined {
    return this.#window[seq - this.first];
  }

  /** The entry as it stands now; the same object as long as nothing of it changed. */
  show(seq: number): Shown | undefined {
    const entry = this.get(seq);
    if (!entry) return undefined;
    let view = this.#views.get(seq);
    if (!view) {
      view = fold(entry, this.#amends.get(seq) ?? NONE);
      this.#views.set(seq, view);
    }
    return view;
  }

  /** All of them; the same array as long as nothing changed. */
  get shown(): readonly Shown[] {
    return (this.#list ??= this.#window.map((entry) => this.show(entry.seq)!));
  }

  /** Countable entries of others above `position` that still stand; undefined: cannot tell. */
  unread(position: number, me: string): number | undefined {
    if (position >= this.last) return 0;
    const below = this.#ordAt(position);
    const above = this.entries(position);
    const top = above.at(-1);
    if (below === undefined || !top || position < this.first - 1) return undefined;
    const gone = above.filter((e) => e.count && e.from !== me && this.#gone(e)).length;
    return top.ord - below - gone;
  }

  /** Countable entries up to and including `seq`. */
  #ordAt(seq: number): number | undefined {
    const held = this.get(seq);
    if (held) return held.ord;
    const first = this.#window[0];
    if (first && seq === first.seq - 1) return first.ord - (first.count ? 1 : 0);
    return seq ? undefined : 0;
  }

  #gone(entry: Entry): boolean {
    return entry.type === HIDDEN || this.#amends.get(entry.seq)?.has(RECALL) === true;
  }

  // --- inside -----------------------------------------------------------------------------

  #followOn(applied: Entry[]): void {
    for (let next; (next = this.#buffer.get(this.last + 1)); ) {
      this.#buffer.delete(next.seq);
      this.#apply(next, applied);
    }
  }

  #apply(entry: Entry, applied: Entry[]): void {
    this.#window.push(entry);
    this.#list = undefined;
    this.last = entry.seq;
    this.head = Math.max(this.head, entry.seq);
    this.#amend(entry);
    applied.push(entry);
    // amends that came before their target (a page's, or those of a jump) may erase it
    if (this.#gone(entry)) this.#replace({ ...entry, body: {} });
  }

  #amend(entry: Entry): void {
    if (!entry.target) return;
    let slots = this.#amends.get(entry.target);
    if (!slots) this.#amends.set(entry.target, (slots = new Map()));
    const held = slots.get(entry.slot);
    if (held && held.seq >= entry.seq) return;
    slots.set(entry.slot, entry);
    this.#touch(entry.target);
    const target = entry.slot === RECALL ? this.get(entry.target) : undefined;
    // what was recalled must not stay readable on the device either
    if (target) this.#replace({ ...target, body: {} });
  }

  #replace(entry: Entry): void {
    this.#window[entry.seq - this.first] = entry;
    this.#touch(entry.seq);
  }

  #touch(seq: number): void {
    this.#views.delete(seq);
    this.#list = undefined;
  }

  #cutFront(most: number): void {
    this.#window = this.#window.slice(-most);
    this.#forgetBelow();
  }

  #empty(last: number): void {
    this.#window = [];
    this.#amends.clear();
    this.#views.clear();
    this.#list = undefined;
    this.last = last;
    for (const seq of [...this.#buffer.keys()]) if (seq <= last) this.#buffer.delete(seq);
  }

  #forgetBelow(): void {
    this.#list = undefined;
    const first = this.first;
    for (const map of [this.#amends, this.#views]) {
      for (const seq of [...map.keys()]) if (seq < first) map.delete(seq);
    }
  }

  /** Follow what a page says of floor and epoch. */
  #align(floor: number, epoch: number, now: number): Cut | undefined {
    if (this.epoch && epoch !== this.epoch) return this.reset(floor, epoch, now);
    this.epoch = epoch;
    if (floor <= this.floor) return undefined;
    const had = this.floor;
    this.floor = floor;
    this.#window = this.#window.filter((entry) => entry.seq >= floor);
    for (const seq of [...this.#buffer.keys()]) if (seq < floor) this.#buffer.delete(seq);
    this.#forgetBelow();
    if (floor <= this.last + 1) return undefined;
    const low = this.last + 1;
    this.#empty(floor - 1);
    this.head = Math.max(this.head, this.last);
    return low > had ? { low, high: floor - 1, reason: "floor" } : undefined;
  }

  #noteHole(now: number): void {
    if (this.head <= this.last) {
      this.#waiting = undefined;
      this.#urgent = false;
    } else {
      this.#waiting ??= now;
    }
  }
}

/** `entry` with what changes it applied. */
function fold(entry: Entry, amends: ReadonlyMap<string, Entry>): Shown {
  const recalled = amends.has(RECALL);
  const hidden = entry.type === HIDDEN;
  const edit = amends.get(EDIT);
  const body: Json = recalled || hidden ? {} : (edit ?? entry).body;
  const slots = new Map([...amends].filter(([slot]) => slot !== RECALL && slot !== EDIT));
  return { entry, body, recalled, hidden, edited: edit !== undefined && !recalled, slots };
}
