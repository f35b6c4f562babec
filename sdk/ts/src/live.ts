/**
 * Live logs that are watched: items each once and in order, values kept current, gaps counted.
 *
 * A watch holds over reconnects and changes of the leading tab. It says with each subscription
 * what it has seen, so within one life of the log on the server (an epoch) only what the server
 * does not hold any more is lost, and told as a gap. After a restart of the server the log begins
 * a new epoch.
 */

import type { Client, Json } from "./api.js";
import type { Core } from "./core.js";
import { Forbidden } from "./errors.gen.js";
import type { Attached, Behind, Deliver, Entry, Gap, Live, LiveItem, Value, Values } from "./frames.gen.js";
import { takeLiveFrames } from "./liveframes.js";
import { backoffMs } from "./outbox.js";
import { BadRequest, Refusal, Stopped } from "./refusal.js";
import { Seats } from "./seats.js";

export { takeLiveFrames } from "./liveframes.js";
export type { LiveItem } from "./frames.gen.js";

const ASK_MS = 30_000;
const PAGE = 100; // entries of a read
const MOST_READ = 1_000; // entries read after a loss; of more only the newest
const DISMISSED = "dismissed"; // the server's signal

/** What a watch knows at the moment from which everything comes. */
export interface Snapshot {
  epoch: number;
  /** Newest items that were not told before, in rising offset. */
  items: readonly LiveItem[];
  /** Newest value of every key. */
  values: ReadonlyMap<string, Json>;
  /** Last seq of the durable entries. */
  head: number;
  /** Items a second that this connection is shown; 0 = all. */
  rate: number;
  tickMs: number;
  /** What the log's kind shows of its state. */
  state: Json;
  /** Not the first one of this watch: the connection was lost, or frames were. */
  again: boolean;
}

/** Whom a watch tells. Handlers do not wait. */
export interface Watchers {
  /** The log is watched, from here on; also again after a loss. */
  attached?(snapshot: Snapshot): void;
  /** In rising offset, each once. `off` 0: for hosts or for the sender only, outside the count. */
  items?(items: readonly LiveItem[]): void;
  /** Keys that changed, null = gone; `Watch.values` is changed already. */
  values?(changed: ReadonlyMap<string, Json>): void;
  /** `n` items were left out for good: sampled, shed, slow or epoch. */
  gap?(n: number, reason: string): void;
  /** Durable entries after `Snapshot.head` of the first attach, each once and in order. */
  entries?(entries: readonly Entry[]): void;
  /** It is over: `Forbidden` where a moderator sent this user away, else why not any more. */
  ended?(error: Error): void;
}

export interface WatchOptions extends Watchers {
  /** Items a second to be shown at most; 0 = as the log says. The last of several tabs holds. */
  rate?: number;
}

/** A log that is watched. */
export interface Watch {
  readonly log: string;
  /** Newest value of every key. */
  readonly values: ReadonlyMap<string, Json>;
  /** Everything arrives at the moment. */
  readonly live: boolean;
  /** Items left out so far. */
  readonly missed: number;
  /** Watch no more. Idempotent. */
  close(): void;
}

/**
 * Watch a live log. Resolves once it is watched, over losses of the network; rejects with the
 * `Refusal` where it may not be, is no live log, or the client stops.
 */
export async function watch(client: Client, log: string, options: WatchOptions = {}): Promise<Watch> {
  const { core } = client as Client & { core?: Core };
  if (!core) throw new TypeError("this is no client of createClient");
  takeLiveFrames();
  await client.start();
  const watching = new Watching(client, core, log, options);
  try {
    await watching.begin();
  } catch (error) {
    watching.close();
    throw error;
  }
  return watching;
}

type Told = Live | Values | Gap;

class Watching implements Watch {
  readonly values = new Map<string, Json>();
  live = false;
  missed = 0;
  #epoch = 0;
  #position = 0; // offset up to which everything was told or counted
  #seen = 0; // highest offset told
  #seq = 0; // of the values
  #high = -1; // of the entries; -1: before the first attach
  #head = 0; // of the entries, as far as was heard
  #session = ""; // of the connection that is subscribed
  #early: Told[] = []; // came before the answer did
  #asking = false;
  #reading: Promise<void> | undefined;
  #error: Error | undefined;
  #seat: Seats | undefined; // once it is known whose connection it is
  readonly #off: (() => void)[] = [];

  constructor(
    private readonly client: Client,
    private readonly core: Core,
    readonly log: string,
    private readonly options: WatchOptions,
  ) {}

  async begin(): Promise<void> {
    const mine = <T extends { log: string }>(take: (what: T) => void) => (what: T) => {
      if (what.log === this.log && !this.#error) take(what);
    };
    const { client } = this;
    const told = mine<Told>((frame) => (this.live ? this.#take(frame) : this.#early.push(frame)));
    this.#off.push(
      client.on("live", told),
      client.on("values", told),
      client.on("gap", told as (gap: { log: string; n: number; reason: string }) => void),
      client.on("deliver", mine<Deliver>(({ entries }) => this.#deliver(entries))),
      client.on("behind", mine<Behind>(({ head }) => this.#reach(head))),
      client.on("signal", mine(({ name }: { log: string; name: string }) => {
        if (name === DISMISSED) this.#end(new Forbidden("sent away: this log may not be watched now"));
      })),
      client.on("status", ({ state, error }) => {
        if (state === "stopped") this.#end(error ?? new Stopped("the client stopped"));
        else if (state !== "open") this.#lost();
        else if (!this.live || client.welcome?.session !== this.#session) this.#again();
      }),
    );
    await client.connected();
    const { tenant, user, device } = client;
    this.#seat = new Seats(this.core, `${tenant}/${user}/${device} ${this.log}`);
    await this.#seat.take();
    await this.#attach(true);
  }

  close(): void {
    this.#leave();
    this.#error ??= new Stopped("the watch was closed");
  }

  #leave(): void {
    if (this.#error) return;
    this.live = false;
    for (const off of this.#off.splice(0)) off();
    this.#seat?.leave(() => {
      const { line } = this.core;
      if (line.open) line.ask({ t: "unsubscribe", log: this.log }, ASK_MS).catch(() => {}); // gone anyway
    });
  }

  #end(error: Error): void {
    if (this.#error) return;
    this.#leave();
    this.#error = error;
    this.#tell("ended", error);
  }

  // --- subscribing ------------------------------------------------------------------------------

  #lost(): void {
    if (this.live) this.#early = [];
    this.live = false;
  }

  /** Subscribe, on this connection or the next. */
  #again(): void {
    if (this.#high < 0) return; // `begin` does
    if (this.client.welcome?.session !== this.#session) this.#lost();
    this.#attach(false).catch(() => {}); // told by `ended`
  }

  async #attach(first: boolean): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const { log, options } = this;
    try {
      for (let tries = 1; !this.#error; tries += 1) {
        try {
          const frame = { t: "subscribe", log, rate: options.rate ?? 0, epoch: this.#epoch, after: this.#position } as const;
          // a live log is answered by `attached`, another one by `ack`
          const answer = (await this.core.line.ask(frame, ASK_MS)) as unknown as Attached | { t: "ack" };
          if (answer.t !== "attached") throw new BadRequest(`${log} is no live log`);
          if (!this.#error) this.#attached(answer);
          return;
        } catch (error) {
          if (!(error instanceof Refusal && error.retry)) {
            if (!first) this.#end(error as Error);
            throw error;
          }
          const pause = Math.max(error.retryAfterMs, backoffMs(tries));
          await new Promise((resolve) => setTimeout(resolve, pause));
        }
      }
      throw this.#error;
    } finally {
      this.#asking = false;
    }
  }

  #attached(answer: Attached): void {
    const again = this.#high >= 0;
    let { items } = answer;
    if (this.#epoch === answer.epoch) {
      items = items.filter(({ off }) => off > this.#position);
      const lost = answer.off - this.#position - items.length;
      if (lost > 0) this.#count(lost, "epoch");
    } else {
      this.#epoch = answer.epoch;
      this.#position = this.#seen = this.#seq = 0;
    }
    this.#position = Math.max(this.#position, answer.off);
    this.#seen = Math.max(this.#seen, answer.off);
    if (answer.seq >= this.#seq) {
      this.#seq = answer.seq;
      this.values.clear();
      for (const [key, , value] of answer.values as Value[]) this.values.set(key, value);
    }
    this.live = true;
    this.#session = this.client.welcome?.session ?? "";
    if (!again) this.#high = answer.head;
    const { epoch, head, rate, tick_ms: tickMs, state } = answer;
    this.#tell("attached", { epoch, items, values: this.values, head, rate, tickMs, state, again });
    for (const frame of this.#early.splice(0)) this.#take(frame);
    this.#reach(answer.head);
  }

  // --- what comes -------------------------------------------------------------------------------

  #take(frame: Told): void {
    if (frame.t === "gap") {
      this.#position += frame.n;
      this.#count(frame.n, frame.reason);
    } else if (frame.epoch !== this.#epoch) {
      this.#again();
    } else if (frame.t === "live") {
      const fresh = frame.items.filter(({ off }) => !off || off > this.#seen);
      for (const { off } of fresh) {
        if (off) this.#position += 1;
        this.#seen = Math.max(this.#seen, off);
      }
      if (fresh.length) this.#tell("items", fresh);
    } else {
      this.#news(frame);
    }
  }

  #news({ prev, seq, values }: Values): void {
    if (seq <= this.#seq) return; // `attached` had it
    if (prev && prev !== this.#seq) this.#again();
    this.#seq = seq;
    const changed = new Map<string, Json>();
    if (!prev) {
      for (const key of this.values.keys()) changed.set(key, null);
      this.values.clear();
    }
    for (const [key, , value] of values as Value[]) {
      changed.set(key, value);
      if (value === null) this.values.delete(key);
      else this.values.set(key, value);
    }
    this.#tell("values", changed);
  }

  #count(n: number, reason: string): void {
    this.missed += n;
    this.#tell("gap", n, reason);
  }

  // --- durable entries --------------------------------------------------------------------------

  #deliver(entries: readonly Entry[]): void {
    const last = entries.at(-1);
    if (!last || this.#high < 0) return;
    const fresh = entries.filter(({ seq }) => seq > this.#high);
    if (!this.#reading && fresh[0]?.seq === this.#high + 1) {
      this.#high = last.seq;
      this.#tell("entries", fresh);
    } else {
      this.#reach(last.seq);
    }
  }

  /** Entries up to `head` are there: read what is missing. */
  #reach(head: number): void {
    this.#head = Math.max(this.#head, head);
    if (this.#reading || this.#high < 0 || head <= this.#high) return;
    this.#reading = this.#read().finally(() => (this.#reading = undefined));
  }

  async #read(): Promise<void> {
    for (let tries = 0; this.#high < this.#head && !this.#error; ) {
      try {
        const after = Math.max(this.#high, this.#head - MOST_READ);
        const page = await this.client.read(this.log, { after }, PAGE);
        if (this.#error) return;
        const fresh = page.entries.filter(({ seq }) => seq > this.#high);
        this.#high = fresh.at(-1)?.seq ?? this.#head; // nothing there: cut away
        if (fresh.length) this.#tell("entries", fresh);
      } catch (error) {
        if (!(error instanceof Refusal && error.retry)) return; // the next attach says why, and reads
        await new Promise((resolve) => setTimeout(resolve, Math.max(error.retryAfterMs, backoffMs(++tries))));
      }
    }
  }

  #tell<K extends keyof Watchers>(event: K, ...what: Parameters<NonNullable<Watchers[K]>>): void {
    try {
      (this.options[event] as ((...what: unknown[]) => void) | undefined)?.(...what);
    } catch (error) {
      setTimeout(() => {
        throw error; // the application's own: reported, and of no harm to the watch
      });
    }
  }
}
