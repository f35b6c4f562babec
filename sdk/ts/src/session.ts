/**
 * The client's half of a session: what to send, what an answer belongs to, when to come back.
 *
 * The whole protocol of a client without a socket, over all its connections; `docs/protocol.md`
 * tells the same in prose. The shell around it owns the socket and the clock (`now`: ms of a
 * monotonic clock). After whatever may have queued something it sends what `take` gives.
 */

import { refusalOf } from "./errors.js";
import { BadFrame, GoingAway, TimedOut } from "./errors.gen.js";
import type {
  Ack,
  Attached,
  ClientFrame,
  Goodbye,
  InboxPage,
  InboxRow,
  Page,
  Result,
  ServerFrame,
  Welcome,
} from "./frames.gen.js";
import { Heads } from "./heads.js";
import type { Refusal } from "./refusal.js";
import { Requests } from "./requests.js";
import type { Request } from "./requests.js";

const STABLE_MS = 5_000; // open this long, the next loss counts as the first
const SYNC_ROWS = 100;
const MOST_BYTES = 64 * 1024; // of a message with several frames
const SLOWEST_MS = 30_000;

/** What happened, in order. `rows.token` >= 0: the sync is complete, save the token with them. */
export type SessionEvent =
  | { t: "opened"; welcome: Welcome }
  | { t: "rows"; rows: InboxRow[]; large: [string, number][]; token: number }
  | { t: "answered"; request: Request; answer: Ack | Page | Result | Attached }
  | { t: "refused"; request: Request | undefined; why: Refusal }
  | { t: "stale" }
  | { t: "closed"; why: Refusal }
  | Exclude<ServerFrame, { t: "welcome" | "goodbye" | "fail" | "ack" | "page" | "result" | "inbox" | "pong" }>;

type Where = "down" | "opening" | "open" | "closing";
type Given = "hello" | "welcome" | "frame" | "bye" | "goodbye" | "lost";

/** In this state, at this input, go there. What is not here is refused. */
export const STATES: Record<Where, Partial<Record<Given, Where>>> = {
  down: { hello: "opening" },
  opening: { welcome: "open", goodbye: "closing", bye: "closing", lost: "down" },
  open: { frame: "open", goodbye: "closing", bye: "closing", lost: "down" },
  closing: { frame: "closing", goodbye: "closing", lost: "down" },
};

/** How a session presents itself. */
export interface Identity {
  device: string;
  cls: string;
  client: string;
  lang: string;
}

/** A move of the own cursors. */
export interface Move {
  delivered?: number;
  read?: number;
  mark?: number;
}

/** One device, over all its connections. No method waits. */
export class Session {
  state: Where = "down";
  /** Said with every ping: nobody is there. */
  away = false;
  readonly #requests = new Requests();
  #moves = new Map<string, Required<Move>>(); // without ref, of this heartbeat
  #older = new Map<string, Required<Move>>(); // of the one before
  #syncing = 0; // ref of the page asked for
  #syncAgain = false;
  #heartbeat = 0;
  #began = 0; // hello, or welcome
  #wasOpen = false; // on this connection
  #nextPing = 0;
  #missed = 0; // pings since anything came
  #attempts = 0;
  #comeback: number | null = 0;

  constructor(
    private readonly identity: Identity,
    public heads = new Heads(),
    private readonly openWithinMs = 10_000,
  ) {}

  // --- requests ---------------------------------------------------------------------------

  /** Queue a request of any state; answered once, over as many connections as it takes. */
  call(frame: { name: string; op: string; log: string; args: ClientCall["args"] }): number {
    return this.#requests.ask({ t: "call", ref: this.#requests.nextRef(), ...frame });
  }

  /** Queue a read or query. Throws GoingAway: no open session, ask again when there is one. */
  ask(frame: Asking): number {
    if (this.state !== "open") throw new GoingAway("no open session");
    return this.#requests.ask({ ...frame, ref: this.#requests.nextRef() });
  }

  /** Queue a move that is answered like a call. */
  moveDurably(log: string, move: Move): number {
    return this.#requests.ask({ t: "cursor", log, ...move, ref: this.#requests.nextRef() });
  }

  /** Queue a move; those of the last two heartbeats are sent again after a reconnect. */
  move(log: string, move: Move): void {
    const merged = this.#merge(log, move);
    if (this.state === "open") this.#requests.say({ t: "cursor", log, ...merged });
  }

  /** Queue a signal, or drop it: false. */
  signal(frame: ClientFrame & { t: "signal" }): boolean {
    return this.state === "open" && this.#requests.say(frame);
  }

  /** Bring the rows up to date. Runs by itself after a welcome and where a loss shows. */
  sync(): void {
    if (this.#syncing) this.#syncAgain = true;
    else if (this.state === "open") this.#askRows(this.heads.token, 0);
  }

  // --- connection -------------------------------------------------------------------------

  /** Start on a new connection; the first message. */
  hello(token: string, now: number): ClientFrame {
    this.#step("hello");
    this.#began = now;
    this.#comeback = 0;
    this.heads.begin();
    const { heads, identity } = this;
    const state = { inbox: heads.token, large: heads.largeDigest(), rows: SYNC_ROWS };
    return { t: "hello", token, ...identity, ...state };
  }

  /** Take the frames of one message. Throws BadFrame: no hongyan server; close, then `lost`. */
  receive(frames: readonly ServerFrame[], now: number): SessionEvent[] {
    this.#missed = 0;
    const events: SessionEvent[] = [];
    for (const frame of frames) this.#takeIn(frame, now, events);
    return events;
  }

  /** When to call `tick` at the latest. */
  due(): number | undefined {
    if (this.state === "opening") return this.#began + this.openWithinMs;
    return this.state === "open" ? this.#nextPing : undefined;
  }

  /** Keep the heartbeat; notice that the server is dead. */
  tick(now: number): SessionEvent[] {
    if (this.state === "opening" && now >= this.#began + this.openWithinMs) {
      return this.#giveUp("no welcome");
    }
    if (this.state !== "open" || now < this.#nextPing) return [];
    if (this.#missed === 2) return this.#giveUp("no answer to two pings");
    this.#missed += 1;
    this.#nextPing = now + this.#heartbeat;
    this.#requests.say({ t: "ping", inbox: this.heads.token, away: this.away });
    return [];
  }

  /** The last message of a client that leaves on purpose. */
  bye(logout: boolean): ClientFrame {
    this.#step("bye");
    this.#comeback = null;
    return { t: "bye", logout };
  }

  /** The connection is gone, or was never made. Reads and queries come back; calls wait. */
  lost(now: number): SessionEvent[] {
    const stable = this.#wasOpen && now - this.#began >= STABLE_MS;
    this.#attempts = stable ? 0 : this.#attempts + 1;
    this.#wasOpen = false;
    if (this.state === "down") return [];
    this.#step("lost");
    this.#syncing = this.#missed = 0;
    this.#syncAgain = false;
    this.heads.abandon();
    const why = new GoingAway("the connection was lost; ask again");
    const back = this.#requests.lost().filter((request) => request.frame.t !== "sync");
    return back.map((request) => ({ t: "refused", request, why }));
  }

  /** Ms before the next connection; `roll` in [0, 1). null: not by itself. */
  reconnectIn(roll: number): number | null {
    if (this.#comeback === null) return null;
    return Math.max(this.#comeback, roll * Math.min(SLOWEST_MS, 1000 * 2 ** this.#attempts));
  }

  /** The frames of the next message; none = nothing may be sent now. */
  take(): ClientFrame[] {
    return this.state === "open" ? this.#requests.take(MOST_BYTES) : [];
  }

  // --- inside -----------------------------------------------------------------------------

  #step(given: Given): void {
    const after = STATES[this.state][given];
    if (!after) throw new BadFrame(`${given} while ${this.state}`);
    this.state = after;
  }

  #giveUp(text: string): SessionEvent[] {
    this.#step("goodbye");
    return [{ t: "closed", why: new TimedOut(text) }];
  }

  #takeIn(frame: ServerFrame, now: number, events: SessionEvent[]): void {
    if (frame.t === "welcome") return this.#welcomed(frame, now, events);
    if (frame.t === "goodbye") return this.#goodbye(frame, events);
    if (frame.t === "fail") return this.#failed(frame, events);
    if (!STATES[this.state].frame) throw new BadFrame(`${frame.t} while ${this.state}`);
    switch (frame.t) {
      case "ack":
      case "page":
      case "result":
      case "attached": {
        const request = this.#requests.answered(frame.ref, frame.t);
        if (frame.t === "attached") this.heads.viewed.add(frame.log);
        // else it was answered before, over another connection
        if (request) events.push({ t: "answered", request, answer: frame });
        return;
      }
      case "inbox":
        return this.#inbox(frame.ref, frame.page, events);
      case "pong":
        return this.#ponged(frame.inbox, frame.digest);
      case "deliver": {
        const last = frame.entries.at(-1);
        if (last) this.heads.reached(frame.log, last.seq);
        break;
      }
      case "behind":
        this.heads.reached(frame.log, frame.head);
    }
    events.push(frame);
  }

  #goodbye(frame: Goodbye, events: SessionEvent[]): void {
    this.#step("goodbye");
    const after = frame.reconnect_after_ms;
    this.#comeback = after < 0 ? null : after;
    events.push({ t: "closed", why: refusalOf(frame.code, frame.text, Math.max(after, 0)) });
  }

  #welcomed(welcome: Welcome, now: number, events: SessionEvent[]): void {
    this.#step("welcome");
    this.#began = now;
    this.#wasOpen = true;
    this.#heartbeat = Math.max(1000, welcome.heartbeat_ms);
    this.#nextPing = now + this.#heartbeat;
    events.push({ t: "opened", welcome });
    for (const refused of this.#requests.opened(welcome.limits)) {
      events.push({ t: "refused", ...refused });
    }
    for (const [log, move] of this.#older) this.#merge(log, move);
    for (const [log, move] of this.#moves) this.#requests.say({ t: "cursor", log, ...move });
    this.#rows(welcome.inbox, events);
  }

  #failed(frame: ServerFrame & { t: "fail" }, events: SessionEvent[]): void {
    const why = refusalOf(frame.code, frame.text, frame.retry_after_ms);
    let request = this.#requests.failed(frame.ref);
    if (request && request.ref === this.#syncing) {
      this.#syncing = 0;
      this.#syncAgain = true; // with the next pong
      this.heads.abandon();
      request = undefined;
    }
    events.push({ t: "refused", request, why });
  }

  #inbox(ref: number, page: InboxPage, events: SessionEvent[]): void {
    if (ref && ref === this.#syncing) {
      this.#requests.answered(ref, "inbox");
      this.#syncing = 0;
      this.#rows(page, events);
    } else if (!ref) {
      for (const row of page.rows) this.heads.pushed(row);
      if (page.rows.length) events.push({ t: "rows", rows: page.rows, large: [], token: -1 });
      if (page.more) {
        events.push({ t: "stale" });
        this.sync();
      }
    }
  }

  /** A page of a sync: go on, or finish. */
  #rows(page: InboxPage, events: SessionEvent[]): void {
    for (const row of page.rows) this.heads.synced(row);
    this.heads.listLarge(page.large);
    const { rows, large, upto, more } = page;
    events.push({ t: "rows", rows, large, token: more ? -1 : upto });
    const last = rows.at(-1);
    if (more && last) {
      this.#askRows(last.useq, upto);
    } else if (more) {
      this.#syncAgain = true; // more, and none given: do not spin, try with the next pong
      this.heads.abandon();
    } else {
      this.heads.finish(upto);
      const again = this.#syncAgain;
      this.#syncAgain = false;
      if (again) this.sync();
    }
  }

  #askRows(after: number, upto: number): void {
    const ref = (this.#syncing = this.#requests.nextRef());
    if (!upto) this.heads.begin();
    const large = this.heads.largeDigest();
    this.#requests.ask({ t: "sync", ref, after, upto, limit: SYNC_ROWS, large }, true);
  }

  #merge(log: string, move: Move): Required<Move> {
    const old = this.#moves.get(log);
    const merged = {
      delivered: Math.max(move.delivered ?? 0, old?.delivered ?? 0),
      read: Math.max(move.read ?? 0, old?.read ?? 0),
      mark: Math.max(move.mark ?? -1, old?.mark ?? -1),
    };
    this.#moves.set(log, merged);
    return merged;
  }

  #ponged(token: number, digest: number): void {
    this.#older = this.#moves;
    this.#moves = new Map();
    if (token !== this.heads.token || this.#syncing) return; // counted from another token
    if (digest !== this.heads.digest() || this.#syncAgain) {
      this.#syncAgain = false;
      this.sync();
    }
  }
}

type ClientCall = Extract<ClientFrame, { t: "call" }>;
type WithoutRef<F> = F extends unknown ? Omit<F, "ref"> : never;
/** A question to the server: what may be asked again. */
export type Asking = WithoutRef<Extract<ClientFrame, { t: "read" | "query" | "subscribe" | "unsubscribe" }>>;
