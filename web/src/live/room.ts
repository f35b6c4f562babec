/** A room on the screen: what it is, what is said in it, and what one may do. */

import { batch, computed, signal } from "@preact/signals";
import type { Client, Entry, Json } from "@hongyan/sdk";
import { type LiveItem, type Watch, watch } from "@hongyan/sdk/live";
import { HttpRefusal, refusalOf } from "../session/login.js";
import { Counts, laneOf } from "./counts.js";
import { type Banner, merged } from "./gifts.js";
import { answers, appended, deletedBy, type Line, lineOf, lineOfEntry, type Said } from "./lines.js";
import { leftToSay } from "./pace.js";
import { listsAfter, type RoomState, type Told } from "./state.js";
import { type Ask, type Page, Reel } from "./reel.js";

const FLUSH_MS = 250; // the list is drawn anew at most this often
const LIKES_MS = 800; // clicks of so long are one call
const MOST_LIKES = 100; // of a call
const COMBO_MS = 6_000; // gifts of one kind within this are one combo
const GAP_SHOWN_MS = 8_000;
const MOST_HELD = 100;
const EARLIER = 30; // durable entries shown to who comes
const NO_ANSWER = 0;
const TOO_FAST = 303; // codes
const MUTED = 204;
const LAST_MS = 2 ** 53 - 1; // of any recording

export type Position = Said["position"];

/** `over`: sent away, closed or not to be watched, see `error`. */
export type Phase = "joining" | "in" | "over";

/** What the stage and the reader of news are told at once, before the list is. */
export type Hear = (lines: readonly Line[]) => void;

export class Room {
  readonly phase = signal<Phase>("joining");
  readonly error = signal<Error | null>(null);
  readonly told = signal<Told>({ title: "", open: true, slow_s: 0, muted_all: false });
  readonly state = signal<RoomState>({});
  readonly values = signal<ReadonlyMap<string, Json>>(new Map());
  readonly lines = signal<readonly Line[]>([]);
  readonly deleted = signal<ReadonlySet<number>>(new Set());
  readonly held = signal<readonly Said[]>([]);
  readonly banners = signal<readonly Banner[]>([]);
  /** Messages left out lately, by reason, and in all. */
  readonly gap = signal<{ lately: ReadonlyMap<string, number>; total: number }>({ lately: new Map(), total: 0 });
  /** What came by lane; for the host. */
  readonly counts = new Counts();
  /** Gifts may be sent from here: nothing is paid on this server. */
  readonly gives = signal(false);
  /** Something said of a recording is kept. */
  readonly recorded = signal(false);
  /** One may not speak because a moderator said so. */
  readonly muted = signal(false);
  /** The connection is there. */
  readonly linked = signal(true);
  /** Seconds until one may speak. */
  readonly left = signal(0);
  readonly pinned = computed(() => this.values.value.get("pinned") as { text: string; author: string } | undefined);
  readonly host = computed(() => this.state.value.host ?? "");

  /** The moment of the recording that is on the stage; -1 = it is live. Set by the stage. */
  mediaMs: () => number = () => -1;

  #watch: Watch | undefined;
  #hearers = new Set<Hear>();
  #pending: Line[] = [];
  #flush: ReturnType<typeof setTimeout> | undefined;
  #n = 0;
  #saidAt = 0;
  #blockedUntil = 0;
  #clock: ReturnType<typeof setInterval> | undefined;
  #likes = 0;
  #liking: ReturnType<typeof setTimeout> | undefined;
  #combo = { key: "", id: "", at: 0 };
  #gapTimer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #reel: Reel | undefined;
  #off: (() => void) | undefined;
  readonly #seqs = new Set<number>(); // entries in the list

  constructor(
    readonly client: Client,
    readonly log: string,
    /** "" for a guest. */
    readonly me: string,
    /** Keeps order here, and is shown everything. */
    readonly moderates: () => boolean,
  ) {}

  /** Enter. What goes wrong is in `error`. */
  async enter(): Promise<void> {
    this.phase.value = "joining";
    this.#off ??= this.client.on("status", ({ state }) => (this.linked.value = state === "open"));
    try {
      const watched = await watch(this.client, this.log, {
        attached: ({ items, values, state, again }) => {
          batch(() => {
            this.state.value = state as RoomState;
            this.values.value = new Map(values);
            this.#values();
            this.phase.value = "in";
            this.linked.value = true;
          });
          this.#items(items, again);
        },
        items: (items) => this.#items(items, true),
        values: () => {
          this.values.value = new Map(this.#watch?.values ?? []);
          this.#values();
        },
        gap: (n, reason) => this.#missed(n, reason),
        entries: (entries) => this.#entries(entries, true),
        ended: (error) => void this.#sentAway(error),
      });
      this.#watch = watched;
      if (this.#closed) return watched.close();
      void this.#offers();
      await this.#earlier();
    } catch (error) {
      this.#over(error as Error);
    }
  }

  close(): void {
    this.#closed = true;
    this.#sendLikes();
    this.#off?.();
    this.#watch?.close();
    this.#hearers.clear();
    clearTimeout(this.#flush);
    clearTimeout(this.#gapTimer);
    clearInterval(this.#clock);
  }

  /** Be told of lines as they come; not of those from before one came. */
  hear(hearer: Hear): () => void {
    this.#hearers.add(hearer);
    return () => this.#hearers.delete(hearer);
  }

  /** The signal does not say why; who asks to come in is told. */
  async #sentAway(error: Error): Promise<void> {
    let why: Error = error;
    try {
      const answer = await this.client.http(`/v1/logs/${this.log}/live`);
      if (!answer.ok) why = await refusalOf(answer);
    } catch {
      // no network: it has to do
    }
    this.#over(why);
  }

  #over(error: Error): void {
    if (this.#closed) return;
    this.error.value = error;
    this.phase.value = "over";
  }

  // --- what comes -------------------------------------------------------------------------------

  #values(): void {
    const told = this.values.value.get("room") as Told | undefined;
    if (!told) return;
    this.told.value = told;
    this.#tick(); // slow mode may be over
  }

  #items(items: readonly LiveItem[], fresh: boolean): void {
    const lines: Line[] = [];
    const now = Date.now();
    for (const item of items) {
      if (fresh) this.counts.add(laneOf(item.lane), 1, now);
      const off = deletedBy(item);
      if (off) this.deleted.value = new Set([...this.deleted.value, off].slice(-500));
      const line = lineOf(item, ++this.#n);
      if (!line) continue;
      if (line.kind !== "said") lines.push(line);
      else if (line.held && this.moderates() && line.from !== this.me) this.#hold(line);
      else {
        this.#letGo(line);
        lines.push(line);
      }
    }
    this.#put(lines, fresh);
  }

  #hold(line: Said): void {
    this.held.value = [...this.held.value, line].slice(-MOST_HELD);
  }

  /** A moderator let it through: it waits no more, for them and for who said it. */
  #letGo(line: Said): void {
    const waits = (held: Line) => held.kind === "said" && held.held && answers(held, line);
    if (this.held.peek().some(waits)) this.held.value = this.held.peek().filter((held) => !waits(held));
    if (line.from !== this.me || line.held) return;
    this.#pending = this.#pending.filter((other) => !waits(other));
    if (this.lines.peek().some(waits)) this.lines.value = this.lines.peek().filter((other) => !waits(other));
  }

  #entries(entries: readonly Entry[], fresh: boolean): void {
    const lines: Line[] = [];
    for (const entry of entries) {
      if (this.#seqs.has(entry.seq)) continue;
      this.#seqs.add(entry.seq);
      const line = lineOfEntry(entry);
      if (line) lines.push(line);
      if (entry.type === "order" || entry.type === "changed") this.#ordered(entry);
    }
    if (fresh) this.counts.add("high", entries.length, Date.now());
    for (const line of fresh ? lines : []) {
      if (line.kind === "gift") this.banners.value = merged(this.banners.peek(), line.from, line.given, Date.now());
    }
    this.#put(lines, fresh);
  }

  /** What moderators do changes the state that they see. */
  #ordered({ type, body }: Entry): void {
    const state = { ...this.state.value };
    if (type === "changed") Object.assign(state, (body as unknown as { changes: RoomState }).changes);
    const { act, user, until = 0, on = true } = body as { act?: string; user?: string; until?: number; on?: boolean };
    if (user) Object.assign(state, listsAfter(state, act, user, until, on));
    if (user === this.me && act === "mute") {
      this.#blockedUntil = on ? until : 0;
      this.muted.value = on;
      this.#tick();
    }
    this.state.value = state;
  }

  /** What this server and this room have to offer; without an answer nothing more is shown. */
  async #offers(): Promise<void> {
    const { client, log } = this;
    const recorded = this.ask(0, LAST_MS, undefined, 1).then(({ items }) => (this.recorded.value = items.length > 0));
    // a guest may not ask, and not give
    const told = this.me ? client.query<{ settings: { gifts?: string } }>("settings", {}, log) : undefined;
    const gives = told?.then(({ settings }) => (this.gives.value = settings.gifts === "users"));
    await Promise.allSettled([recorded, gives]);
  }

  /** What was said of the recording. */
  ask: (...args: [...Parameters<Ask>, limit?: number]) => Promise<Page> = (from_ms, to_ms, after, limit = 200) => {
    const args = { from_ms, to_ms, limit, ...(after !== undefined && { after }) };
    return this.client.query<Page & Json>("danmaku", args, this.log);
  };

  /** Watch the recording: what is said from now on belongs to its moments. */
  replay(on: boolean): Reel | undefined {
    this.#reel = on ? new Reel(this.ask) : undefined;
    return this.#reel;
  }

  /** Gifts and announcements from before one came. */
  async #earlier(): Promise<void> {
    try {
      const { entries } = await this.client.read(this.log, { before: 0 }, EARLIER);
      const old = entries.filter(({ seq }) => !this.#seqs.has(seq));
      for (const { seq } of old) this.#seqs.add(seq);
      const lines = old.map(lineOfEntry).filter((line) => line !== undefined && line.kind !== "order") as Line[];
      const all = [...lines, ...this.lines.peek()].sort((a, b) => a.at - b.at);
      this.lines.value = appended([], all);
    } catch {
      // the room works without: what comes from now on is there
    }
  }

  #put(lines: readonly Line[], fresh: boolean): void {
    if (!lines.length) return;
    if (fresh) for (const hearer of this.#hearers) hearer(lines);
    this.#pending = appended(this.#pending, lines) as Line[];
    this.#flush ??= setTimeout(() => {
      this.#flush = undefined;
      const news = this.#pending;
      this.#pending = [];
      this.lines.value = appended(this.lines.peek(), news);
    }, FLUSH_MS);
  }

  #missed(n: number, reason: string): void {
    const { gap } = this;
    const { lately, total } = gap.value;
    gap.value = { lately: new Map(lately).set(reason, (lately.get(reason) ?? 0) + n), total: total + n };
    this.#gapTimer ??= setTimeout(() => {
      this.#gapTimer = undefined;
      gap.value = { lately: new Map(), total: gap.value.total };
    }, GAP_SHOWN_MS);
  }

  // --- what one does ----------------------------------------------------------------------------

  /** Say it now or not at all: what waits for a connection is no danmaku. Throws HttpRefusal. */
  async say(text: string, color: string, position: Position): Promise<void> {
    const media_ms = this.mediaMs();
    try {
      if (media_ms >= 0) this.#reel?.saidNow(text, media_ms);
      await this.#call("room.say", { text, color, position, ...(media_ms >= 0 && { media_ms }) });
      this.#saidAt = Date.now();
    } catch (error) {
      if (error instanceof HttpRefusal && error.retryAfterMs) this.#blocked(error);
      throw error;
    } finally {
      this.#tick();
    }
  }

  /** Slow mode counts from what was said, also by another page of this person. */
  #blocked({ code, retryAfterMs }: HttpRefusal): void {
    const slowMs = this.told.value.slow_s * 1000;
    const until = Date.now() + retryAfterMs;
    this.muted.value = code === MUTED;
    if (code === TOO_FAST && slowMs) this.#saidAt = until - slowMs;
    else this.#blockedUntil = until;
  }

  #tick = (): void => {
    const slowS = this.moderates() ? 0 : this.told.value.slow_s;
    this.left.value = leftToSay({ slowS, saidAt: this.#saidAt, blockedUntil: this.#blockedUntil }, Date.now());
    clearInterval(this.#clock);
    if (this.#blockedUntil <= Date.now()) this.muted.value = false;
    if (this.left.value) this.#clock = setInterval(this.#tick, 250);
  };

  /** One click; clicks of a moment go out together. */
  like(): void {
    this.#likes += 1;
    this.#liking ??= setTimeout(() => this.#sendLikes(), LIKES_MS);
  }

  #sendLikes(): void {
    clearTimeout(this.#liking);
    this.#liking = undefined;
    const n = Math.min(this.#likes, MOST_LIKES);
    this.#likes = 0;
    // no harm where it fails: nobody is told how many were their own
    if (n && this.client.status.state !== "stopped") this.#call("room.like", { n }).catch(() => {});
  }

  /** Give one; kept until the server has it, and then once. */
  give(gift: string, value: number): Promise<unknown> {
    const now = Date.now();
    const follows = this.#combo.key === gift && now - this.#combo.at < COMBO_MS;
    this.#combo = { key: gift, id: follows ? this.#combo.id : `c${now.toString(36)}`, at: now };
    const order = `web-${crypto.randomUUID()}`;
    return this.order("room.gift", { order, gift, count: 1, value, combo: this.#combo.id }, order);
  }

  /** A call of a moderator, or a gift: kept until the server has it. */
  order(name: string, args: Json, op?: string): Promise<unknown> {
    return this.client.call(name, args, { log: this.log, ...(op && { op }) });
  }

  async approve(line: Said): Promise<void> {
    const { from: user, op, text, color, position, mediaMs: media_ms } = line;
    await this.#call("room.approve", { user, op, text, color, position, media_ms });
    this.reject(line);
  }

  reject(line: Said): void {
    this.held.value = this.held.value.filter((held) => held !== line);
  }

  async shadow(user: string, on: boolean): Promise<void> {
    await this.order("room.shadow", { user, on });
    const { shadowed = [] } = this.state.value;
    const rest = shadowed.filter((other) => other !== user);
    this.state.value = { ...this.state.value, shadowed: on ? [...rest, user] : rest };
  }

  async #call(name: string, args: Json): Promise<void> {
    let answer: Response;
    try {
      answer = await this.client.http(`/v1/logs/${this.log}/calls`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
        body: JSON.stringify({ name, args }),
      });
    } catch (error) {
      throw error instanceof Error ? error : new HttpRefusal(String(error), NO_ANSWER, NO_ANSWER);
    }
    if (!answer.ok) throw await refusalOf(answer);
  }
}
