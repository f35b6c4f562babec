/**
 * What the SDK promises, as types: the contract between the SDK and whoever uses it.
 *
 * One `Client` is one device of one user. Calls survive the network and the process (outbox);
 * logs have no holes (replica); the conversation list is right (rows). The words are those of
 * `docs/concepts.md`; the frames are in `frames.gen.ts`.
 */

import type {
  Ack,
  Behind,
  Deliver,
  Entry,
  InboxRow,
  Live,
  Page,
  Values,
  Welcome,
} from "./frames.gen.js";
import type { SocketClass } from "./links.js";
import type { Cut, Refusal } from "./refusal.js";

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * Gives an access token, for every connection. `fresh`: the last one was refused, do not give it
 * again. Throw `LoggedOut` to stop the client for good.
 */
export type GetToken = (fresh: boolean) => Promise<string>;

/** `auto` tries WebSocket, then server-sent events, then long-polling, and climbs back. */
export type TransportName = "websocket" | "sse" | "poll";

/** How a client is made. Only `url` and `getToken` are needed. */
export interface ClientOptions {
  /** `http(s)://` or `ws(s)://` address of the server. */
  url: string;
  getToken: GetToken;
  /** This installation: choose it once and keep it. Default: made and kept in the store. */
  device?: string;
  /** Counted by the kick policy. Default `web`. */
  cls?: "phone" | "desktop" | "web" | "pad" | "thing" | "server";
  codec?: "json" | "msgpack";
  transports?: TransportName[] | "auto";
  /** Where outbox and cache live. Default: IndexedDB in a browser, memory elsewhere. */
  store?: Storage | "memory" | "indexeddb";
  /** Name of the database: one per user and server. Needed with IndexedDB. */
  name?: string;
  /** Several tabs of one `name` share a connection. Default true in a browser. */
  shareTabs?: boolean;
  /** Entries kept in a replica. Default 500. */
  keep?: number;
  /** Name and version of the application, for the operator. */
  client?: string;
  lang?: string;
  /** The `WebSocket` to use. Default: the global one; Node before 22 has none, give that of `ws`. */
  webSocket?: SocketClass;
  /** The `fetch` to use. Default: the global one. */
  fetch?: typeof fetch;
}

/** Keeps outbox, rows and pages of one device. All methods are durable when they settle. */
export interface Storage {
  get(key: string): Promise<unknown>;
  put(changes: ReadonlyMap<string, unknown>): Promise<void>; // undefined deletes; all or nothing
  range(prefix: string): Promise<[string, unknown][]>; // in rising key order
  close(): Promise<void>;
}

export type State = "connecting" | "open" | "waiting" | "offline" | "stopped";

/** How the connection is. `retryAt` (ms, local clock) with `waiting`; `error` with `stopped`. */
export interface Status {
  state: State;
  transport?: TransportName;
  retryAt?: number;
  error?: Error;
  /** This tab owns the connection (false: another tab does, and this one goes through it). */
  leader: boolean;
  /** The conversation list is complete as of this connection. */
  synced: boolean;
}

/** A call that is not acknowledged yet. `failed` ones wait for `retry` or `discard`. */
export interface PendingCall {
  op: string;
  log: string;
  name: string;
  args: Json;
  /** Local clock, ms. */
  at: number;
  state: "queued" | "sent" | "failed";
  error?: { code: number; text: string };
}

/** What happens, in order. `rows`, `replica` and `outbox` are already changed when it is told. */
export interface Events {
  status: Status;
  /** Rows of the list that are new or changed. */
  rows: readonly InboxRow[];
  /** An opened log changed: new entries, folded changes, a cut, its receipts. */
  log: { log: string; entries: readonly Entry[] };
  /** Another member received or read up to here. */
  receipt: { log: string; user: string; delivered: number; read: number };
  signal: { log: string; name: string; user: string; device: string; body: Json };
  presence: { user: string; state: string; last_seen: number };
  /** The outbox changed: a call was queued, sent, stored (gone) or failed. */
  outbox: readonly PendingCall[];
  /** A call was stored: also one that nobody waits for. */
  acked: { op: string; log: string; name: string; ack: Ack };
  /** A call was refused for good: also one that nobody waits for. */
  refused: { op: string; log: string; name: string; error: Refusal };
  /** The copy of an opened log passed entries over; `reason` as in `LogCut`. */
  cut: { log: string } & Cut;
  /** The store cannot be written: what is called from now on would not survive the page. */
  trouble: { error: Error };
  /** The connection was too slow: ask again for receipts that are on the screen. */
  stale: null;
  /** Entries of a live log that were left out and will not come. */
  gap: { log: string; n: number; reason: string };
  /** Frames as they came, of any log; `watch` of `@hongyan/sdk/live` makes sense of them. */
  behind: Behind;
  deliver: Deliver;
  live: Live;
  values: Values;
}

/** An entry with everything folded in that later entries changed. */
export interface Shown {
  entry: Entry;
  /** The body that counts now: that of the newest edit, `{}` when recalled or hidden. */
  body: Json;
  recalled: boolean;
  hidden: boolean;
  edited: boolean;
  /** Newest entry per slot but edit and recall (`react:<user>:<emoji>`, `pin`). */
  slots: ReadonlyMap<string, Entry>;
}

/** The newest entries of one log, without a hole. Read-only views; `Events.log` tells changes. */
export interface Replica {
  readonly log: string;
  /** In rising seq, without a hole. Kept until `close`. */
  readonly shown: readonly Shown[];
  /** Lowest seq held; 0 while nothing is held. */
  readonly low: number;
  /** Highest seq applied. */
  readonly high: number;
  /** First seq that may be read: `low === floor` means that there is nothing older. */
  readonly floor: number;
  get(seq: number): Shown | undefined;
  /** Bring `limit` older entries in; resolves with how many. Serialised; safe to call again. */
  older(limit?: number): Promise<number>;
  /** Replace what is held by the entries around a seq (jump); `newer` brings what follows. */
  around(seq: number, limit?: number): Promise<void>;
  /** Bring newer entries after a jump; resolves true when the end is reached and live again. */
  newer(limit?: number): Promise<boolean>;
  /** Whether `high` is the log's head: live entries arrive by themselves. */
  readonly live: boolean;
  /** Forget what is above `keep`: when the reader is back at the end. */
  trim(): void;
  close(): void;
}

/** The promise of a call: settles with the answer; `op` names it meanwhile. */
export interface Sent extends Promise<Ack> {
  readonly op: string;
}

/** `keep`: stay in the outbox as `failed` when refused for good. Default: names ending in `.send`. */
export interface CallOptions {
  log?: string;
  op?: string;
  keep?: boolean;
}

/** One device of one user. */
export interface Client {
  readonly user: string; // "" before the first welcome on this device
  readonly tenant: string;
  readonly device: string;
  readonly welcome: Welcome | undefined;
  readonly status: Status;
  readonly rows: ReadonlyMap<string, InboxRow>;
  readonly outbox: readonly PendingCall[];

  /** Begin; resolves when what the store holds is loaded (also without a network). */
  start(): Promise<void>;
  /** Leave. `logout` also forgets this device's login and wipes its store. */
  close(options?: { logout?: boolean }): Promise<void>;
  /** Resolves when the session is open. Rejects with Offline after `withinMs`, or Stopped. */
  connected(withinMs?: number): Promise<void>;
  /** The network changed or the machine woke up: try now. */
  wake(): void;
  /** Somebody looks at the page, or nobody. */
  away(away: boolean): void;

  /**
   * Do what is stored, once, in the order of the calls of this log. Rejects with a `Refusal` of
   * the code's class; refusals 3xx are retried inside. In the outbox until then.
   */
  call(name: string, args: Json, options?: CallOptions): Sent;
  /** `chat.send` of a text. */
  send(log: string, text: string): Sent;
  /** Send a failed call again, with the same op. */
  retry(op: string): void;
  /** Forget a failed or still queued call; false when it may be on its way. */
  discard(op: string): boolean;

  /** Keep a replica of this log; counted, so each `open` needs one `Replica.close`. */
  open(log: string): Promise<Replica>;
  /**
   * Entries after `after` (default: from now on), each once and in order, for ever. Throws LogCut
   * where some cannot be read any more. Leave the loop to end it.
   */
  entries(log: string, after?: number): AsyncIterableIterator<Entry>;
  read(
    log: string,
    range: { after: number } | { before: number } | { around: number },
    limit?: number,
  ): Promise<Page>;
  query<T = Json>(name: string, args?: Json, log?: string): Promise<T>;
  /** Shows at once, is durable when it resolves, and is sent until the server has it. */
  markRead(log: string, seq?: number): Promise<void>;
  /** Best effort. */
  signal(log: string, name: string, body?: Json): void;
  /** Presence now, and `presence` events from now on. */
  watch(users: readonly string[]): Promise<{ user: string; state: string; last_seen: number }[]>;

  on<K extends keyof Events>(event: K, handler: (what: Events[K]) => void): () => void;

  /** An HTTP request with the token of this device, for what is no frame (files, accounts). */
  http(path: string, init?: RequestInit): Promise<Response>;
}
