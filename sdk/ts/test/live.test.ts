import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { createClient, Forbidden, Refusal } from "../src/index.js";
import type { Client, ClientOptions, Entry, Json } from "../src/index.js";
import { takeLiveFrames, watch } from "../src/live.js";
import type { LiveItem, Watch, WatchOptions } from "../src/live.js";
import { FakeLocks, FakeServer, FakeSocket, until } from "./fakes.js";

type Frame = Record<string, unknown> & { t: string };
const ROOM = "main/r/show";

/** A server with a live log; `items` were said, each connection that subscribed is told. */
class LiveServer extends FakeServer {
  epoch = 7;
  items: LiveItem[] = [];
  ring = 3;
  values: [string, number, Json][] = [["likes", 1, 5]];
  seq = 1;
  gifts: Entry[] = [];
  viewers = new Set<FakeSocket>();
  refusal = 0;

  override take(socket: FakeSocket, frame: Frame): void {
    if (frame.t === "subscribe") return this.subscribe(socket, frame);
    if (frame.t === "read" && frame["log"] === ROOM) {
      this.frames.push(frame);
      const entries = this.gifts.filter(({ seq }) => seq > Number(frame["after"]));
      const head = this.gifts.length;
      const page = { log: ROOM, entries, amends: [], floor: 1, head, epoch: 1, more: false };
      return socket.give({ t: "page", ref: frame["ref"] as number, ...page });
    }
    super.take(socket, frame);
    if (frame.t !== "unsubscribe") return;
    this.viewers.delete(socket);
    socket.give({ t: "ack", ref: frame["ref"] as number });
  }

  private subscribe(socket: FakeSocket, frame: Frame): void {
    this.frames.push(frame);
    const ref = frame["ref"] as number;
    if (this.refusal) return socket.give({ t: "fail", ref, code: this.refusal, text: "no" });
    if (frame["log"] !== ROOM) return socket.give({ t: "ack", ref });
    const after = frame["epoch"] === this.epoch ? Number(frame["after"]) : 0;
    const items = this.items.slice(-this.ring).filter(({ off }) => off > after);
    const off = this.items.length;
    const base = { log: ROOM, epoch: this.epoch, off, items, values: this.values };
    const rest = { head: this.gifts.length, rate: 10, tick_ms: 200, seq: this.seq };
    socket.give({ t: "attached", ref, ...base, ...rest });
    this.viewers.add(socket);
  }

  tell(frame: Frame): void {
    for (const viewer of this.viewers) viewer.give({ log: ROOM, epoch: this.epoch, ...frame });
  }

  item(off: number): LiveItem {
    return { off, type: "danmaku", from: "bob", at: 1, body: { text: `m${off}` }, lane: 1, op: "", device: "" };
  }

  speak(n = 1, told = true): void {
    const items = Array.from({ length: n }, () => {
      const item = this.item(this.items.length + 1);
      this.items.push(item);
      return item;
    });
    if (told) this.tell({ t: "live", items });
  }

  value(key: string, value: Json, lost = false): void {
    const prev = this.seq++;
    this.values = [...this.values.filter(([k]) => k !== key), [key, this.seq, value]];
    if (!lost) this.tell({ t: "values", prev, seq: this.seq, values: [[key, this.seq, value]] });
  }

  gift(told = true): void {
    const seq = this.gifts.length + 1;
    const more = { at: 1, ord: 0, count: false, target: 0, slot: "", op: "", device: "" };
    this.gifts.push({ seq, type: "gift", from: "bob", body: {}, ...more });
    if (told) this.tell({ t: "deliver", entries: [this.gifts.at(-1)] });
  }

  override cut(): void {
    this.viewers.clear();
    super.cut();
  }

  asked(): Frame[] {
    return this.frames.filter(({ t }) => t === "subscribe");
  }
}

/** Everything that a watch told. */
class Heard {
  readonly offs: number[] = [];
  readonly seqs: number[] = [];
  readonly gaps: [number, string][] = [];
  readonly again: boolean[] = [];
  readonly changes: [string, Json][] = [];
  error: Error | undefined;

  get handlers(): WatchOptions {
    return {
      attached: ({ items, again }) => {
        this.again.push(again);
        this.offs.push(...items.map(({ off }) => off));
      },
      items: (items) => this.offs.push(...items.map(({ off }) => off)),
      values: (changed) => this.changes.push(...changed),
      gap: (n, reason) => this.gaps.push([n, reason]),
      entries: (entries) => this.seqs.push(...entries.map(({ seq }) => seq)),
      ended: (error) => (this.error = error),
    };
  }
}

let server: LiveServer;
let open: Client[];
let count = 0;

beforeEach(() => {
  server = new LiveServer();
  vi.spyOn(Math, "random").mockReturnValue(0); // come back at once
  open = [];
});

afterEach(async () => {
  await Promise.all(open.map((client) => client.close()));
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

async function person(options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = createClient({
    url: "http://server",
    getToken: async () => "token",
    store: "memory",
    shareTabs: false,
    transports: ["websocket"],
    webSocket: server.WebSocket,
    ...options,
  });
  open.push(client);
  await client.start();
  return client;
}

async function watching(more: WatchOptions = {}): Promise<[Heard, Watch, Client]> {
  const client = await person();
  const heard = new Heard();
  return [heard, await watch(client, ROOM, { ...heard.handlers, ...more }), client];
}

describe("live logs", () => {
  it("tells the newest items and all values, then each item once", async () => {
    server.speak(5);
    const [heard, room] = await watching();
    expect(heard.offs).toEqual([3, 4, 5]);
    expect([...room.values]).toEqual([["likes", 5]]);
    server.speak(2);
    server.tell({ t: "live", items: [server.item(6), server.item(7)] }); // again
    server.value("likes", 9);
    server.tell({ t: "live", items: [{ ...server.item(0) }] }); // for hosts: outside the count
    await until(() => heard.offs.at(-1) === 0, () => heard.offs);
    expect(heard.offs).toEqual([3, 4, 5, 6, 7, 0]);
    expect(heard.changes).toEqual([["likes", 9]]);
    expect(room.values.get("likes")).toBe(9);
    expect(heard.gaps).toEqual([]);
  });

  it("goes on after a loss of the connection, and counts what is not held any more", async () => {
    server.speak(2);
    const [heard, room] = await watching();
    server.tell({ t: "gap", n: 1, reason: "sampled" });
    await until(() => room.missed === 1);
    server.items.push(server.item(3)); // that one
    server.cut();
    server.speak(5, false); // 4 to 8, of which 6 to 8 are held
    await until(() => heard.again.length === 2);
    expect(server.asked().at(-1)).toMatchObject({ epoch: 7, after: 3 });
    expect(heard.offs).toEqual([1, 2, 6, 7, 8]);
    expect(heard.gaps).toEqual([[1, "sampled"], [2, "epoch"]]);
    expect(heard.offs.length + room.missed).toBe(server.items.length);
    expect(room.live).toBe(true);
  });

  it("begins anew in another epoch", async () => {
    server.speak(9);
    const [heard, room] = await watching();
    server.epoch = 8;
    server.items = [];
    server.seq = 1;
    server.values = [["likes", 1, 6]];
    server.cut();
    server.speak(1, false);
    await until(() => heard.again.length === 2);
    expect(heard.offs).toEqual([7, 8, 9, 1]);
    expect(heard.gaps).toEqual([]);
    expect(room.values.get("likes")).toBe(6);
  });

  it("asks for all values where a frame of them is missing, and takes a full set", async () => {
    const [heard, room] = await watching();
    server.value("heat", 1, true);
    server.value("likes", 6);
    await until(() => heard.again.length === 2);
    expect([...room.values]).toEqual([["heat", 1], ["likes", 6]]);
    server.seq += 5; // what a slow reader was not told
    server.tell({ t: "values", prev: 0, seq: server.seq, values: [["likes", 9, 8]] });
    await until(() => room.values.get("likes") === 8);
    expect([...room.values]).toEqual([["likes", 8]]);
    expect(heard.changes.slice(-2)).toEqual([["heat", null], ["likes", 8]]);
    server.tell({ t: "values", prev: 1, seq: 2, values: [["likes", 2, 1]] }); // an old one
    server.speak();
    await until(() => heard.offs.length === 1);
    expect(room.values.get("likes")).toBe(8);
    expect(server.asked()).toHaveLength(2);
  });

  it("tells each durable entry once, also those of a loss", async () => {
    server.gift();
    const [heard] = await watching();
    server.gift();
    await until(() => heard.seqs.length === 1);
    server.gift(false);
    server.gift(); // one before it is missing
    await until(() => heard.seqs.length === 3, () => heard.seqs);
    server.cut();
    server.gift(false);
    await until(() => heard.seqs.length === 4, () => heard.seqs);
    expect(heard.seqs).toEqual([2, 3, 4, 5]);
  });

  it("asks for no rows after the gifts of a room without one", async () => {
    const [heard, , client] = await watching();
    const pong = { t: "pong", now: 1, inbox: 1, digest: 0 }; // the server: no row has changed
    const synced = () => server.frames.filter(({ t }) => t === "sync").length;
    server.gift();
    server.tell({ t: "behind", head: 2 });
    await until(() => heard.seqs.length === 1);
    server.tell(pong);
    await client.query("row"); // what came before it is done
    expect(synced()).toBe(0);
    server.tell({ t: "deliver", log: "main/g/g1", entries: [{ ...server.gifts[0], type: "message" }] });
    server.tell(pong);
    await until(() => synced() === 1); // of any other log they are asked for
  });

  it("ends where somebody is sent away, and says why it cannot begin", async () => {
    const [heard, room, client] = await watching();
    server.tell({ t: "signal", name: "dismissed", user: "alice", body: {} });
    await until(() => heard.error);
    expect(heard.error).toBeInstanceOf(Forbidden);
    expect(room.live).toBe(false);
    server.refusal = 209;
    await expect(watch(client, ROOM)).rejects.toBeInstanceOf(Forbidden);
    server.refusal = 0;
    await expect(watch(client, "main/g/g1")).rejects.toThrow("no live log");
    await expect(watch(client, "main/g/g1")).rejects.toBeInstanceOf(Refusal);
  });

  it("tries again where the refusal is for now", async () => {
    server.refusal = 304;
    setTimeout(() => (server.refusal = 0), 50);
    const [heard] = await watching();
    expect(heard.again).toEqual([false]);
    expect(server.asked().length).toBeGreaterThan(1);
  });

  it("unsubscribes with the last watch", async () => {
    const client = await person();
    const heard = [new Heard(), new Heard()];
    const rooms = [await watch(client, ROOM, heard[0]!.handlers), await watch(client, ROOM, heard[1]!.handlers)];
    rooms[0]!.close();
    await client.query("row"); // what was sent before it has arrived
    expect(server.viewers.size).toBe(1);
    server.speak();
    await until(() => heard[1]!.offs.length === 1);
    expect(heard[0]!.offs).toEqual([]);
    rooms[1]!.close();
    rooms[1]!.close();
    await until(() => !server.viewers.size);
  });
});

/** Locks that several may share. */
class SharedLocks extends FakeLocks {
  #held = new Map<string, number>();
  override request(name: string, first: object, work: (lock?: object | null) => Promise<unknown>): Promise<unknown> {
    const { mode, ifAvailable } = first as { mode?: string; ifAvailable?: boolean };
    const held = this.#held.get(name) ?? 0;
    if (ifAvailable) return Promise.resolve(work(held ? null : {}));
    if (mode !== "shared") return super.request(name, first, work);
    this.#held.set(name, held + 1);
    return Promise.resolve(work({})).finally(() => this.#held.set(name, this.#held.get(name)! - 1));
  }
}

describe("tabs that share a connection", () => {
  it("watch through the one that leads, until the last one leaves", async () => {
    vi.stubGlobal("navigator", { locks: new SharedLocks(), onLine: true });
    const name = `live-${++count}`;
    const shared = { name, store: undefined, shareTabs: true } as Partial<ClientOptions>;
    takeLiveFrames();
    const [leader, other] = [await person(shared), await person(shared)];
    await leader.connected(5000);
    await other.connected(5000);
    server.speak(2);
    const heard = [new Heard(), new Heard()];
    const room = await watch(other, ROOM, heard[1]!.handlers);
    expect(other.status.leader).toBe(false);
    expect(heard[1]!.offs).toEqual([1, 2]);
    const first = await watch(leader, ROOM, heard[0]!.handlers);
    server.speak();
    server.value("likes", 7);
    await until(() => heard.every(({ changes }) => changes.length === 1));
    expect(heard.map(({ offs }) => offs)).toEqual([[1, 2, 3], [1, 2, 3]]);
    first.close();
    server.speak();
    await until(() => heard[1]!.offs.length === 4);
    await leader.close(); // the other one leads now
    server.viewers.clear();
    await until(() => heard[1]!.again.length === 2, () => other.status);
    server.speak();
    await until(() => heard[1]!.offs.length === 5);
    expect(heard[1]!.offs).toEqual([1, 2, 3, 4, 5]);
    room.close();
    await until(() => !server.viewers.size);
  });
});
