/** The client: calls that survive, logs without holes, a list that is right. */

import type {
  CallOptions,
  Client,
  ClientOptions,
  Events,
  Json,
  PendingCall,
  Replica,
  Sent,
  Status,
  Storage,
  TransportName,
} from "./api.js";
import { jsonCodec } from "./codec.js";
import { Core } from "./core.js";
import { Offline, Stopped } from "./refusal.js";
import type { Entry, InboxRow, Page, Result, Welcome } from "./frames.gen.js";
import { httpUrl } from "./links.js";
import type { Endpoint } from "./links.js";
import { IndexedStore, Keeper, MemoryStore } from "./store.js";
import { canShare, Tabs } from "./tabs.js";

const VERSION = "hongyan-ts/0.1.0";
const ASK_MS = 30_000;

/** A client; nothing happens before `start`. Throws TypeError for options that cannot work. */
export function createClient(options: ClientOptions): Client {
  return new Device(options);
}

class Device implements Client {
  readonly core: Core; // also for the modules beside this one: live.ts
  private tabs: Tabs | undefined;
  #starting: Promise<void> | undefined;
  #loaded = false;
  #token: Promise<string> | undefined;
  readonly #end = new AbortController();
  readonly #watched = new Set<string>();
  readonly #endpoint: Endpoint;

  constructor(private readonly options: ClientOptions) {
    const { name, store, device = "", cls = "web", client = "", lang = "" } = options;
    if (store === "indexeddb" && !name) {
      throw new TypeError("IndexedDB needs a name: one per user and server");
    }
    const webSocket = options.webSocket ?? (globalThis.WebSocket as Endpoint["webSocket"]);
    const url = new URL(options.url, globalThis.location?.href);
    const http: typeof fetch = options.fetch ?? ((...args) => fetch(...args));
    const endpoint = { url, codec: jsonCodec, webSocket, fetch: http };
    const identity = { device, cls, client: `${client} ${VERSION}`.trim(), lang };
    const keeper = new Keeper(this.#openStore());
    this.#endpoint = endpoint;
    this.core = new Core(keeper, options, identity, endpoint, transportsOf(options, endpoint));
  }

  get user(): string {
    return this.core.inbox.rows.user;
  }
  get tenant(): string {
    return this.core.owner.split("/")[0]!;
  }
  get device(): string {
    return this.core.identity.device;
  }
  get welcome(): Welcome | undefined {
    return this.core.welcome;
  }
  get status(): Status {
    return this.core.status;
  }
  get rows(): ReadonlyMap<string, InboxRow> {
    return this.core.inbox.rows.byLog;
  }
  get outbox(): readonly PendingCall[] {
    return this.core.sender.outbox.list;
  }

  // --- life -----------------------------------------------------------------------------------

  start(): Promise<void> {
    return (this.#starting ??= this.#begin());
  }

  async #begin(): Promise<void> {
    const { core, options } = this;
    const { name, codec = "json", shareTabs = typeof document !== "undefined" } = options;
    if (codec !== "json") this.#endpoint.codec = (await import("./msgpack.js")).msgpackCodec;
    if (shareTabs && name && canShare()) this.tabs = new Tabs(core, `hongyan:${name}`);
    await core.load();
    if (this.#end.signal.aborted) return;
    this.#loaded = true;
    this.#listen();
    core.on("status", ({ synced }) => synced && this.#rewatch());
    core.on("stale", () => this.#rewatch());
    if (this.tabs) this.tabs.start();
    else await core.lead();
  }

  async #openStore(): Promise<Storage> {
    const { store, name } = this.options;
    if (typeof store === "object") return store;
    if (store === "memory" || !name || typeof indexedDB === "undefined") return new MemoryStore();
    try {
      return await IndexedStore.open(`hongyan:${name}`);
    } catch (error) {
      if (store === "indexeddb") throw error;
      this.core.trouble(error); // no database here: go on without
      return new MemoryStore();
    }
  }

  /** A browser says itself when the network or the page comes back. */
  #listen(): void {
    if (typeof document === "undefined") return;
    const wake = () => this.wake();
    const seen = () => {
      this.away(document.hidden);
      if (document.hidden) this.core.follower.saveNow();
      else this.wake();
    };
    const { signal } = this.#end;
    addEventListener("online", wake, { signal });
    addEventListener("offline", wake, { signal });
    document.addEventListener("visibilitychange", seen, { signal });
    this.away(document.hidden);
  }

  async close({ logout = false }: { logout?: boolean } = {}): Promise<void> {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    await this.#starting?.catch(() => {}); // told to who started
    const core = this.core;
    if (logout) this.tabs?.logout();
    else core.follower.saveNow();
    core.leave(logout);
    if (logout) await core.keeper.wipe();
    await core.keeper.close();
    this.tabs?.close(); // the last: whoever leads next finds everything in the store
  }

  async connected(withinMs?: number): Promise<void> {
    return (await this.#started()).opened(withinMs);
  }

  wake(): void {
    this.core.line.wake();
  }

  away(away: boolean): void {
    (this.tabs ?? this.core.line).away(away);
  }

  // --- calls ----------------------------------------------------------------------------------

  call(name: string, args: Json, options: CallOptions = {}): Sent {
    return this.#ready.sender.call(name, args, options);
  }

  send(log: string, text: string): Sent {
    return this.call("chat.send", { content: { type: "text", text } }, { log });
  }

  retry(op: string): void {
    this.#ready.sender.retry(op);
  }

  discard(op: string): boolean {
    return this.#ready.sender.discard(op);
  }

  // --- logs -----------------------------------------------------------------------------------

  async open(log: string): Promise<Replica> {
    return (await this.#started()).follower.open(log);
  }

  async *entries(log: string, after?: number): AsyncIterableIterator<Entry> {
    yield* (await this.#started()).follower.entries(log, after);
  }

  async read(
    log: string,
    range: { after: number } | { before: number } | { around: number },
    limit = 50,
  ): Promise<Page> {
    return (await this.#started()).follower.read(log, range, limit);
  }

  async query<T = Json>(name: string, args: Json = {}, log = ""): Promise<T> {
    const { line } = await this.#started();
    return ((await line.ask({ t: "query", name, log, args }, ASK_MS)) as Result).body as T;
  }

  async markRead(log: string, seq?: number): Promise<void> {
    return (await this.#started()).inbox.markRead(log, seq);
  }

  signal(log: string, name: string, body: Json = {}): void {
    this.core.line.say({ t: "signal", log, name, body });
  }

  async watch(
    users: readonly string[],
  ): Promise<{ user: string; state: string; last_seen: number }[]> {
    for (const user of users) this.#watched.add(user);
    return this.#presence([...users]);
  }

  async #presence(users: string[]): Promise<Events["presence"][]> {
    const args = { users, watch: true };
    return (await this.query<{ presence: Events["presence"][] }>("presence", args)).presence;
  }

  /** Watching ends with a connection: ask again on the next one. */
  #rewatch(): void {
    if (!this.#watched.size) return;
    this.#presence([...this.#watched]).then(
      (found) => found.forEach((state) => this.core.emit("presence", state)),
      () => {}, // the connection went again: so does the next `open`
    );
  }

  // --- events and the rest --------------------------------------------------------------------

  on<K extends keyof Events>(event: K, handler: (what: Events[K]) => void): () => void {
    return this.core.on(event, handler);
  }

  async http(path: string, init: RequestInit = {}): Promise<Response> {
    const request = async (token: string) => {
      const headers = new Headers(init.headers);
      headers.set("authorization", `Bearer ${token}`);
      return this.#endpoint.fetch(httpUrl(this.#endpoint.url, path), { ...init, headers });
    };
    const response = await request(await this.#tokenNow(false));
    if (response.status !== 401 || init.body instanceof ReadableStream) return response;
    return request(await this.#tokenNow(true));
  }

  #tokenNow(fresh: boolean): Promise<string> {
    if (fresh) this.#token = undefined;
    this.#token ??= this.options.getToken(fresh).catch((error: unknown) => {
      this.#token = undefined;
      throw error;
    });
    return this.#token;
  }

  async #started(): Promise<Core> {
    await this.start();
    return this.#ready;
  }

  get #ready(): Core {
    if (this.#end.signal.aborted) throw new Stopped("the client was closed");
    if (!this.#loaded) throw new Offline("start the client first");
    return this.core;
  }
}

function transportsOf({ transports = "auto" }: ClientOptions, { webSocket }: Endpoint): TransportName[] {
  if (transports !== "auto") return transports;
  return webSocket ? ["websocket", "sse", "poll"] : ["sse", "poll"];
}

