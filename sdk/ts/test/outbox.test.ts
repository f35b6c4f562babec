import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { Clash, createClient, Full, IndexedStore, MemoryStore, Stopped } from "../src/index.js";
import type { Client, ClientOptions, Storage } from "../src/index.js";
import { Keeper } from "../src/store.js";
import { FakeServer, until } from "./fakes.js";

let server: FakeServer;
let name: string;
let open: Client[];
let count = 0;

beforeEach(() => {
  server = new FakeServer();
  name = `outbox-${++count}`;
  open = [];
});

afterEach(async () => {
  await Promise.all(open.map((client) => client.close()));
});

async function start(options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = createClient({
    url: "http://server",
    getToken: async () => "token",
    name,
    store: "indexeddb",
    shareTabs: false,
    transports: ["websocket"],
    webSocket: server.WebSocket,
    ...options,
  });
  open.push(client);
  await client.start();
  return client;
}

describe("the outbox", () => {
  it("sends what was written before the page closed, once, with the same op: G3", async () => {
    server.down = true;
    const before = await start();
    const sent = before.send(server.log, "written offline");
    await until(() => before.outbox.length === 1);
    await before.close();
    await expect(sent).rejects.toBeInstanceOf(Stopped);

    server.down = false;
    const after = await start();
    expect(after.outbox[0]).toMatchObject({ op: sent.op, state: "queued" });
    const acked: string[] = [];
    after.on("acked", ({ op }) => acked.push(op));
    await until(() => after.outbox.length === 0);
    expect(acked).toEqual([sent.op]);
    expect(server.entries.map((entry) => entry.op)).toEqual([sent.op]);
    await after.close();

    const third = await start();
    await third.connected(5000);
    expect(third.outbox).toEqual([]);
    expect(server.calls).toEqual([sent.op]);
  });

  it("asks again for an answer that was lost with the page: stored once: G3", async () => {
    server.held = []; // acks never come
    const before = await start();
    const sent = before.send(server.log, "stored, not answered");
    await until(() => server.entries.length === 1);
    await before.close();
    server.held = undefined;
    const after = await start();
    await until(() => after.outbox.length === 0);
    expect(server.calls).toEqual([sent.op, sent.op]);
    expect(server.entries).toHaveLength(1);
  });

  it("sends nothing that is not in the store: G3", async () => {
    const store = new SlowStore();
    const client = await start({ store });
    await client.connected(5000);
    store.hold = true;
    const sent = client.send(server.log, "slow disk");
    await until(() => store.waiting.length > 0);
    expect(client.outbox[0]?.state).toBe("queued");
    expect(server.calls).toEqual([]);
    store.release();
    expect((await sent).seq).toBe(1);
  });

  it("refuses a call that cannot be written, and tells: G3", async () => {
    const store = new SlowStore();
    const client = await start({ store });
    const troubles: Error[] = [];
    client.on("trouble", ({ error }) => troubles.push(error));
    await client.connected(5000);
    store.broken = true;
    await expect(client.send(server.log, "no disk")).rejects.toThrow("disk full");
    expect(client.outbox).toEqual([]);
    expect(troubles.length).toBeGreaterThan(0);
    expect(server.calls).toEqual([]);
  });

  it("keeps the order of a log, whatever is retried: G3", async () => {
    const client = await start();
    await client.connected(5000);
    const sents = Array.from({ length: 20 }, (_, n) => client.send(server.log, `${n}`));
    server.cut();
    await Promise.all(sents);
    const texts = server.entries.map((e) => (e.body as { content: { text: string } }).content.text);
    expect(texts).toEqual(Array.from({ length: 20 }, (_, n) => `${n}`));
  });

  it("lets no call overtake one of its log that is refused for now: G3", async () => {
    const client = await start();
    await client.connected(5000);
    server.busy = 2;
    const sents = ["a", "b", "c"].map((text) => client.send(server.log, text));
    const acks = await Promise.all(sents);
    expect(acks.map((ack) => ack.seq)).toEqual([1, 2, 3]);
    expect(server.calls).toEqual([sents[0]!.op, sents[0]!.op, ...sents.map((sent) => sent.op)]);
  });

  it("keeps a refused message as failed, over a restart, for retry with the same op: G11", async () => {
    server.refuse.set("chat.send", 113);
    const client = await start();
    const sent = client.send(server.log, "too much");
    await expect(sent).rejects.toBeInstanceOf(Full);
    expect(client.outbox[0]).toMatchObject({ op: sent.op, state: "failed", error: { code: 113 } });
    await client.close();

    const again = await start();
    await again.connected(5000);
    await again.query("log", {}, server.log); // what would be sent by itself was sent before
    expect(again.outbox[0]).toMatchObject({ op: sent.op, state: "failed", error: { code: 113 } });
    expect(server.calls).toEqual([sent.op]);
    server.refuse.clear();
    again.retry(sent.op);
    await until(() => again.outbox.length === 0);
    expect(server.entries.map((entry) => entry.op)).toEqual([sent.op]);
    await again.close();
    expect((await start()).outbox).toEqual([]);
  });

  it("lets failed and unsent calls go, and no other: G11", async () => {
    server.refuse.set("chat.send", 113);
    const client = await start();
    const failed = client.send(server.log, "x");
    await expect(failed).rejects.toBeInstanceOf(Full);
    expect(client.discard(failed.op)).toBe(true);
    expect(client.outbox).toEqual([]);

    server.refuse.clear();
    server.held = [];
    const sent = client.send(server.log, "on its way");
    await until(() => client.outbox[0]?.state === "sent");
    expect(client.discard(sent.op)).toBe(false);
    server.down = true;
    server.cut();
    await until(() => client.status.state === "waiting");
    expect(client.discard(sent.op)).toBe(false);
    const unsent = client.send(server.log, "never sent");
    await until(() => client.outbox.length === 2);
    expect(client.discard(unsent.op)).toBe(true);
    await expect(unsent).rejects.toThrow("discarded");
    expect(client.discard("unknown")).toBe(false);
  });

  it("does not keep what is no message, unless asked to: G11", async () => {
    server.refuse.set("chat.rename", 203);
    const client = await start();
    await expect(client.call("chat.rename", {}, { log: server.log })).rejects.toMatchObject({ code: 203 });
    expect(client.outbox).toEqual([]);
    const kept = client.call("chat.rename", {}, { log: server.log, keep: true });
    await expect(kept).rejects.toMatchObject({ code: 203 });
    expect(client.outbox).toHaveLength(1);
  });

  it("joins a second call with the same op, and refuses another one: G3", async () => {
    server.down = true;
    const client = await start();
    const one = client.call("chat.send", { a: 1, b: 2 }, { log: server.log, op: "op1" });
    const two = client.call("chat.send", { b: 2, a: 1 }, { log: server.log, op: "op1" });
    await expect(client.call("chat.send", { a: 2 }, { log: server.log, op: "op1" })).rejects.toBeInstanceOf(Clash);
    server.down = false;
    client.wake();
    expect((await one).seq).toBe((await two).seq);
    expect(server.entries).toHaveLength(1);
  });

  it("keeps read positions until the server has them: G3", async () => {
    server.say("bob", {});
    const first = await start();
    await first.connected(5000);
    await until(() => first.rows.size === 1);
    server.down = true;
    server.cut();
    await until(() => first.status.state === "waiting");
    await first.markRead(server.log);
    expect(first.rows.get(server.log)?.unread).toBe(0);
    await first.close();
    const second = await start();
    expect(second.rows.get(server.log)?.unread).toBe(0);
    server.down = false;
    second.wake();
    await until(() => server.read === 1);
  });
});

/** A store that can be slow, or broken. */
class SlowStore extends MemoryStore implements Storage {
  hold = false;
  broken = false;
  waiting: (() => void)[] = [];

  override async put(changes: ReadonlyMap<string, unknown>): Promise<void> {
    if (this.broken) throw new Error("disk full");
    if (this.hold) await new Promise<void>((resolve) => this.waiting.push(resolve));
    return super.put(changes);
  }

  release(): void {
    this.hold = false;
    for (const go of this.waiting.splice(0)) go();
  }
}

it("the keeper writes what comes at any moment, also while it ends: G3", async () => {
  const keeper = new Keeper(Promise.resolve(new MemoryStore()));
  for (let steps = 0; steps < 20; steps++) {
    const first = keeper.save([["a", steps]]);
    for (let step = 0; step < steps; step++) await Promise.resolve();
    await Promise.all([first, keeper.save([["b", steps]])]);
  }
  const broken = new Keeper(Promise.reject(new Error("no database")));
  await expect(broken.save([["a", 1]])).rejects.toThrow("no database");
  await expect(broken.save([["a", 1]])).rejects.toThrow("no database");
});

it("the database keeps keys in order and all changes or none", async () => {
  const store = await IndexedStore.open("kv-test");
  await store.put(new Map<string, unknown>([["o/2", { n: 2 }], ["o/1", { n: 1 }], ["p/1", 3]]));
  expect(await store.range("o/")).toEqual([["o/1", { n: 1 }], ["o/2", { n: 2 }]]);
  await expect(store.put(new Map<string, unknown>([["o/3", 1], ["o/4", () => 1]]))).rejects.toThrow();
  await store.put(new Map<string, unknown>([["o/1", undefined]]));
  expect((await store.range("o/")).map(([key]) => key)).toEqual(["o/2"]);
  await store.close();
});
