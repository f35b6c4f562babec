/**
 * The parts of a client put together: who tells whom what.
 *
 *     Core ─┬─ Shell ── Session      this tab's connection, or
 *           ├─ Tabs                  the way to the tab that has it
 *           ├─ Sender ── Outbox      calls that are not acknowledged yet
 *           ├─ Inbox ─── Rows        the conversation list; how far this device has come
 *           ├─ Follower ─ Copy       opened logs, their holes, their readers
 *           └─ Keeper ── Storage     all of this in the store
 */

import type { ClientOptions, Events, Json, State, Status, TransportName } from "./api.js";
import { Follower } from "./follow.js";
import type { Ack, Call, ClientFrame, Cursor, InboxRow, Welcome } from "./frames.gen.js";
import { Heads } from "./heads.js";
import type { Host, Note } from "./host.js";
import { Inbox, least } from "./inbox.js";
import type { Line } from "./line.js";
import type { Endpoint } from "./links.js";
import { OpIds } from "./outbox.js";
import type { Pending } from "./outbox.js";
import { Stopped, WrongUser } from "./refusal.js";
import type { Refusal } from "./refusal.js";
import { Sender } from "./sender.js";
import { Session } from "./session.js";
import type { Identity, SessionEvent } from "./session.js";
import { now, Shell, within } from "./shell.js";
import type { Owner } from "./shell.js";
import type { Keeper } from "./store.js";
import { aloneLine } from "./line.js";

const LEAST_MS = 5; // between two looks of the timer

/** Everything but the facade. */
export class Core implements Host, Owner {
  status: Status = { state: "connecting", leader: false, synced: false };
  welcome: Welcome | undefined;
  owner = ""; // tenant/user that the store is of
  shell: Shell | undefined;
  line: Line = aloneLine;
  /** To the other tabs; set by them. */
  tell: (note: Note) => void = () => {};
  /** The status changed; set by the tabs. */
  told: () => void = () => {};
  readonly sender: Sender;
  readonly follower: Follower;
  readonly inbox: Inbox;
  #handlers = new Map<string, Set<(what: never) => void>>();
  #soon = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #openers: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  private over = false;

  constructor(
    readonly keeper: Keeper,
    private readonly options: ClientOptions,
    readonly identity: Identity,
    private readonly endpoint: Endpoint,
    private readonly transports: readonly TransportName[],
  ) {
    this.sender = new Sender(
      this,
      (call, ack) => this.#stored(call, ack),
      (why) => this.shell?.renew(why),
    );
    this.follower = new Follower(
      this,
      (log, entries) => this.inbox.entries(log, entries, true),
      (log) => this.inbox.rows.get(log),
      options.keep ?? 500,
    );
    this.inbox = new Inbox(this, this.follower);
  }

  get session(): Session | undefined {
    return this.shell?.session;
  }

  // --- life -----------------------------------------------------------------------------------

  /** Take up what the store holds. Again when this tab takes over: it may hold newer things. */
  async load(): Promise<{ token: number; large: [string, number][] }> {
    const store = await this.keeper.opened;
    const [device, user, token, large, rows, calls, reads] = await Promise.all([
      store.get("device"),
      store.get("user"),
      store.get("token"),
      store.get("large"),
      store.range("r/"),
      store.range("o/"),
      store.range("c/"),
    ]);
    // two tabs that began together made one each: the last one written holds
    if (!this.options.device && typeof device === "string") this.identity.device = device;
    this.identity.device ||= `web-${new OpIds().next()}`;
    if (device !== this.identity.device) {
      this.keep([["device", this.identity.device]]);
    }
    this.setOwner(String(user ?? this.owner));
    for (const [, row] of rows) this.inbox.put(row as InboxRow);
    for (const [, call] of calls) this.sender.take(call as Pending);
    for (const [key, read] of reads) {
      const { seq, mark } = read as { seq: number; mark: number };
      this.inbox.reading(key.slice(2), seq, mark);
    }
    return { token: Number(token ?? 0), large: (large ?? []) as [string, number][] };
  }

  /** This tab connects from now on. */
  async lead(): Promise<void> {
    const { token, large } = await this.load();
    if (this.over) return;
    const heads = new Heads(token, large);
    const session = new Session(this.identity, heads, this.transports.length > 1 ? 6_000 : 10_000);
    const { getToken } = this.options;
    this.inbox.token = token;
    this.shell = new Shell(this, getToken, this.endpoint, this.transports, session);
    this.line = this.shell;
    this.sender.lead();
    this.inbox.cursors.again();
    this.status = { ...this.status, leader: true };
    this.shell.run().catch((error: Error) => this.shell!.stop(error)); // better than to go on half
    this.poke();
  }

  /** Leave; what was called and is in the store is sent by the next client of its name. */
  leave(logout: boolean, why: Error = new Stopped("the client was closed")): void {
    if (this.shell) this.shell.leave(logout, why);
    else this.ended(why);
  }

  // --- from other tabs --------------------------------------------------------------------------

  /** Another tab tells what happened. */
  noted(note: Note): void {
    const { sender, inbox } = this;
    switch (note.m) {
      case "event":
        return this.shell ? undefined : this.take(note.event);
      case "add":
        return sender.take(note.pending);
      case "mark":
        return this.shell ? undefined : sender.mark(note.op, note.state);
      case "done":
        return sender.finish(note.op, note.ending);
      case "drop":
        return sender.drop(note.op);
      case "retry":
        return sender.requeue(note.op);
      case "read":
        return void inbox.reading(note.log, note.seq, note.mark);
      case "confirmed":
        return inbox.confirmed(note.log, note.seq, note.mark);
      case "forget":
        return inbox.forget();
    }
  }

  /** The leader told what it knows. */
  joined(state: { owner: string; device: string; rows: InboxRow[]; calls: Pending[] }): void {
    this.identity.device = state.device;
    this.setOwner(state.owner);
    for (const row of state.rows) this.inbox.put(row);
    this.sender.join(state.calls);
  }

  /** The leader's connection changed. */
  follow(status: Status, welcome: Welcome | undefined): void {
    const opened = status.state === "open" && this.status.state !== "open";
    this.welcome = welcome ?? this.welcome;
    if (welcome) this.setOwner(`${welcome.tenant}/${welcome.user}`);
    this.#setStatus(status);
    if (opened) this.follower.connected();
    this.poke();
  }

  /** Another tab has something to say to the server. */
  say(frame: ClientFrame & { t: "signal" | "cursor" }): void {
    if (frame.t === "signal") this.shell?.say(frame);
    else if (this.shell) this.inbox.cursors.deliver(frame.log, frame.delivered ?? 0);
    this.poke();
  }

  // --- Host -----------------------------------------------------------------------------------

  emit<K extends keyof Events>(event: K, what: Events[K]): void {
    for (const handler of [...(this.#handlers.get(event) ?? [])]) {
      try {
        (handler as (what: Events[K]) => void)(what);
      } catch (error) {
        setTimeout(() => {
          throw error; // the application's own: reported, and of no harm to the client
        });
      }
    }
  }

  on<K extends keyof Events>(event: K, handler: (what: Events[K]) => void): () => void {
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers);
    handlers.add(handler as (what: never) => void);
    return () => handlers.delete(handler as (what: never) => void);
  }

  poke = (): void => {
    if (this.#soon) return;
    this.#soon = true;
    queueMicrotask(() => this.#look());
  };

  keep(changes: Iterable<readonly [string, unknown]>): void {
    this.keeper.save(changes).catch(this.trouble);
  }

  trouble = (error: unknown): void => {
    this.emit("trouble", { error: error instanceof Error ? error : new Error(String(error)) });
  };

  /** Tell what changed, do what is due, send what is queued, set the timer for what comes next. */
  #look = (): void => {
    this.#soon = false;
    const { sender, inbox, follower } = this;
    if (inbox.changed.size) {
      const rows = [...inbox.changed.values()];
      inbox.changed.clear();
      this.emit("rows", rows);
    }
    if (sender.changed) {
      sender.changed = false;
      this.emit("outbox", sender.outbox.list);
    }
    if (this.over) return;
    const at = now();
    follower.saveDue(at);
    this.shell?.look();
    if (this.line.open) {
      if (this.shell) sender.work(at);
      inbox.work(at);
      follower.work(at);
    }
    this.shell?.flush();
    clearTimeout(this.#timer);
    const due = least([
      this.shell?.due(),
      follower.due(),
      ...(this.line.open ? [inbox.due(), this.shell && sender.due()] : []),
    ]);
    if (due !== undefined) this.#timer = setTimeout(this.#look, Math.max(LEAST_MS, due - now()));
  };

  // --- Owner: what the shell tells --------------------------------------------------------------

  handle(event: SessionEvent): void {
    if (event.t === "answered" || event.t === "refused") return this.#answered(event);
    if (event.t === "opened") {
      this.#opened(event.welcome);
      this.inbox.rows.user = event.welcome.user;
    } else if (event.t !== "closed") {
      this.tell({ m: "event", event });
      this.take(event);
    }
  }

  /** What a connection brought, be it this tab's or another's. */
  take(event: SessionEvent): void {
    switch (event.t) {
      case "deliver":
        if (!this.follower.deliver(event.log, event.entries)) {
          this.inbox.delivered(event.log, event.entries);
        }
        this.emit("deliver", event);
        break;
      case "rows":
        this.inbox.take(event);
        if (event.token >= 0 && !this.status.synced && this.shell) {
          this.#setStatus({ ...this.status, synced: true });
        }
        break;
      case "cursor":
        this.inbox.cursor(event);
        break;
      case "signal": {
        const { log, name, user, device, body } = event;
        if (name === "presence") this.#presence(log, body);
        else this.emit("signal", { log, name, user, device, body });
        break;
      }
      case "stale":
        this.emit("stale", null);
        break;
      case "reset":
        this.follower.reset(event);
        this.inbox.doubt(event.log);
        break;
      case "behind":
        if (!this.follower.hint(event.log, event.head, true)) this.inbox.doubt(event.log);
      // falls through: whoever watches the log is told of these as they came
      default: // gap, live, values
        this.emit(event.t as "gap", event as Events["gap"]);
    }
    this.poke();
  }

  changed(state: State, detail: { retryAt?: number; error?: Error }): void {
    const offline = state === "waiting" && globalThis.navigator?.onLine === false;
    const transport = this.shell?.transport;
    const { leader, synced } = this.status;
    this.#setStatus({
      state: offline ? "offline" : state,
      ...(transport && { transport }),
      ...detail,
      leader,
      synced: state === "open" && synced,
    });
  }

  ended(error: Error): void {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.#timer);
    this.sender.stop(error);
    this.follower.stop(error);
    this.#setStatus({ state: "stopped", error, leader: this.status.leader, synced: false });
  }

  /** Resolves when the session is open. Rejects with Offline, or why it never will be. */
  opened(withinMs = Infinity): Promise<void> {
    return within(withinMs, "no connection in time", (resolve, reject) => {
      this.#openers.push({ resolve, reject });
      this.#settle();
    });
  }

  #settle(): void {
    const { state, error } = this.status;
    if (state !== "open" && state !== "stopped") return;
    for (const { resolve, reject } of this.#openers.splice(0)) {
      if (error) reject(error);
      else resolve();
    }
  }

  #setStatus(status: Status): void {
    this.status = status;
    this.told();
    this.#settle();
    this.emit("status", status);
  }

  setOwner(owner: string): void {
    this.owner = owner;
    if (owner) this.inbox.rows.user = owner.slice(owner.indexOf("/") + 1);
  }

  #opened(welcome: Welcome): void {
    const owner = `${welcome.tenant}/${welcome.user}`;
    if (this.owner && this.owner !== owner) {
      const why = new WrongUser(`the store is of ${this.owner}, the token of ${owner}`);
      this.shell!.stop(why);
      this.shell!.drop();
      return;
    }
    this.welcome = welcome;
    this.status = { ...this.status, synced: false };
    if (!this.owner) {
      this.setOwner(owner);
      this.keep([["user", owner]]);
    }
    this.follower.connected();
  }

  #answered(event: SessionEvent & { t: "answered" | "refused" }): void {
    const frame = event.request?.frame;
    if (frame?.t === "call") {
      if (event.t === "answered") this.sender.answered(frame as Call, event.answer as Ack);
      else this.sender.refused(frame as Call, event.why, now());
    } else if (frame?.t === "cursor") {
      const { log, read = 0, mark = -1 } = frame as Partial<Cursor> & { log: string };
      if (event.t === "answered") this.inbox.confirmed(log, read, mark);
      else this.inbox.refused(log, event.why as Refusal);
    }
  }

  /** A call of this device is stored. */
  #stored(call: Pending, ack: Ack): void {
    if (ack.cls !== "live") this.follower.hint(ack.log, ack.seq); // else an offset, no seq
    if (call.name === "chat.delete") {
      const { seqs } = call.args as { seqs?: number[] };
      this.follower.hide(ack.log || call.log, seqs ?? []);
    }
  }

  #presence(log: string, body: Json): void {
    const { state, last_seen } = body as { state: string; last_seen: number };
    this.emit("presence", { user: log.slice(log.lastIndexOf("/") + 1), state, last_seen });
  }
}

