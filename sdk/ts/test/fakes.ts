/** A server in memory, the sockets that lead to it, and the locks of a browser. */

import type { Entry, InboxRow } from "../src/frames.gen.js";
import type { Socket, SocketClass } from "../src/index.js";

type Frame = Record<string, unknown> & { t: string; ref?: number };

/** One tenant, one log of alice and bob, and every call that was stored. */
export class FakeServer {
  readonly log = "main/d/alice~bob";
  readonly entries: Entry[] = [];
  readonly sockets = new Set<FakeSocket>();
  /** Calls as they came, repeats too: [op, device]. */
  readonly calls: string[] = [];
  readonly hellos: Frame[] = [];
  readonly frames: Frame[] = [];
  /** What acks of calls wait for; undefined: they go out at once. */
  held: (() => void)[] | undefined;
  /** No connection comes through. */
  down = false;
  /** Refuse calls of these names for good. */
  refuse = new Map<string, number>();
  /** Refuse this many calls for now. */
  busy = 0;
  read = 0;
  private ops = new Map<string, Entry>();

  readonly WebSocket: SocketClass = this.makeClass();

  private makeClass(): SocketClass {
    const server = this;
    return class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(server, url, protocols);
      }
    };
  }

  /** Somebody says something. */
  say(from: string, body: Entry["body"], more: Partial<Entry> = {}): Entry {
    const count = more.count ?? true;
    const ord = (this.entries.at(-1)?.ord ?? 0) + (count ? 1 : 0);
    const seq = this.entries.length + 1;
    const entry: Entry = {
      ...{ seq, type: "message", from, at: seq, ord, body, target: 0, slot: "", op: "", device: "" },
      ...more,
      count,
    };
    this.entries.push(entry);
    for (const socket of this.sockets) socket.give({ t: "deliver", log: this.log, entries: [entry] });
    return entry;
  }

  row(): InboxRow {
    const head = this.entries.length;
    const ord = this.entries.at(-1)?.ord ?? 0;
    const unread = this.entries.filter((e) => e.count && e.from !== "alice" && e.seq > this.read).length;
    return {
      ...{ log: this.log, useq: head + 1, head, ord, unread, mentions: 0, role: 1, since: 1 },
      ...{ read: this.read, delivered: head, epoch: 1, floor: 1, until: 0, cleared: 0, marked: false },
      ...{ mark: 0, count: 2, large: false, settings: {}, state: {}, last: null },
      ...{ peer_read: 0, peer_delivered: 0 },
    };
  }

  /** Cut every connection, as a network does. */
  cut(): void {
    for (const socket of [...this.sockets]) socket.end();
  }

  take(socket: FakeSocket, frame: Frame): void {
    this.frames.push(frame);
    const { ref } = frame;
    switch (frame.t) {
      case "hello":
        this.hellos.push(frame);
        return socket.give(this.welcome(String(frame["device"])));
      case "call":
        return this.call(socket, frame);
      case "read":
        return socket.give(this.page(frame));
      case "cursor":
        this.read = Math.max(this.read, Number(frame["read"] ?? 0));
        return ref ? socket.give({ t: "ack", ref, log: frame["log"] }) : undefined;
      case "sync":
        return socket.give({ t: "inbox", ref, page: { rows: [this.row()], upto: this.row().useq } });
      case "query": {
        const { users } = frame["args"] as { users?: string[] };
        const presence = users?.map((user) => ({ user, state: "online", last_seen: 0 }));
        return socket.give({ t: "result", ref, body: presence ? { presence } : this.row() });
      }
    }
  }

  private call(socket: FakeSocket, frame: Frame): void {
    const [op, name] = [String(frame["op"]), String(frame["name"])];
    const { ref, log } = frame;
    this.calls.push(op);
    const code = this.refuse.get(name);
    if (code) return socket.give({ t: "fail", ref, code, text: "no" });
    if (this.busy-- > 0) {
      return socket.give({ t: "fail", ref, code: 304, text: "busy", retry: true, retry_after_ms: 20 });
    }
    const before = this.ops.get(op);
    let entry = before;
    if (!entry && name === "chat.send") {
      entry = this.say("alice", (frame["args"] ?? {}) as Entry["body"], { op });
      this.ops.set(op, entry);
    }
    const seq = entry?.seq ?? 0;
    const ack = { t: "ack", ref, log, seq, first: seq, repeat: before !== undefined };
    if (this.held) this.held.push(() => socket.give(ack));
    else socket.give(ack);
  }

  private welcome(device: string): Frame {
    const page = { rows: [this.row()], upto: this.row().useq };
    const limits = { message_bytes: 65536, window: 64, page: 100 };
    const who = { session: "s", user: "alice", tenant: "main", device };
    return { t: "welcome", ...who, now: 1, heartbeat_ms: 30_000, limits, inbox: page };
  }

  private page(frame: Frame): Frame {
    const { after, before, around } = frame as { after?: number; before?: number; around?: number };
    const limit = Number(frame["limit"] ?? 50);
    const head = this.entries.length;
    let low = head - limit + 1;
    if (after !== undefined) low = after + 1;
    else if (around !== undefined) low = around - Math.floor(limit / 2);
    else if (before) low = before - limit;
    const top = before ? before - 1 : Math.min(head, Math.max(low, 1) + limit - 1);
    const entries = this.entries.filter(({ seq }) => seq >= low && seq <= top);
    const amends = this.entries.filter(
      ({ seq, target }) => seq > top && target >= low && target <= top && target > 0,
    );
    const more = after !== undefined ? top < head : low > 1;
    return { t: "page", ref: frame.ref!, log: this.log, entries, amends, floor: 1, head, epoch: 1, more };
  }
}

/** A WebSocket that leads to the server of its class. */
export class FakeSocket implements Socket {
  binaryType = "";
  readonly bufferedAmount = 0;
  onopen: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  private over = false;

  constructor(
    private readonly server: FakeServer,
    readonly url: string,
    readonly protocols: string[],
  ) {
    queueMicrotask(() => {
      if (server.down) return this.end();
      server.sockets.add(this);
      this.onopen?.({} as never);
    });
  }

  send(data: string | Uint8Array): void {
    if (this.over) return;
    const message = JSON.parse(String(data)) as Frame | Frame[];
    for (const frame of Array.isArray(message) ? message : [message]) {
      queueMicrotask(() => this.server.take(this, structuredClone(frame)));
    }
  }

  give(frame: Frame): void {
    const data = JSON.stringify(frame);
    queueMicrotask(() => this.over || this.onmessage?.({ data } as never));
  }

  close(): void {
    this.end();
  }

  end(): void {
    if (this.over) return;
    this.over = true;
    this.server.sockets.delete(this);
    queueMicrotask(() => this.onclose?.({ code: 1006 } as never));
  }
}

/** `navigator.locks` of one browser: exclusive, first come first served. */
export class FakeLocks {
  private queues = new Map<string, (() => Promise<void>)[]>();

  request(
    name: string,
    { signal }: { signal?: AbortSignal },
    work: () => Promise<unknown>,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const queue = this.queues.get(name) ?? [];
      this.queues.set(name, queue);
      const run = async () => {
        try {
          resolve(await work());
        } catch (error) {
          reject(error);
        }
        queue.shift();
        void queue[0]?.();
      };
      signal?.addEventListener("abort", () => {
        const at = queue.indexOf(run);
        if (at > 0) queue.splice(at, 1);
        if (at !== 0) reject(new DOMException("aborted", "AbortError"));
      });
      queue.push(run);
      if (queue.length === 1) void run();
    });
  }
}

/** Wait until it is true; fails after 5 s with what it shows. */
export async function until(true_: () => unknown, shows: () => unknown = () => ""): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!true_()) {
    if (Date.now() > deadline) throw new Error(`not within 5 s: ${true_} ${JSON.stringify(shows())}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
