import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { createClient, MemoryStore } from "../src/index.js";
import type { Client, ClientOptions, Replica } from "../src/index.js";
import { FakeServer, until } from "./fakes.js";

let server: FakeServer;
let open: Client[];

beforeEach(() => {
  server = new FakeServer();
  open = [];
});

afterEach(async () => {
  await Promise.all(open.map((client) => client.close()));
});

async function start(options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = createClient({
    url: "http://server",
    getToken: async () => "token",
    store: "memory",
    transports: ["websocket"],
    webSocket: server.WebSocket,
    ...options,
  });
  open.push(client);
  await client.start();
  return client;
}

function dense(replica: Replica, low: number, high: number): void {
  expect(replica.shown.map(({ entry }) => entry.seq)).toEqual(
    Array.from({ length: high - low + 1 }, (_, i) => low + i),
  );
  expect([replica.low, replica.high]).toEqual([low, high]);
}

describe("a replica", () => {
  it("pages back without a hole to the floor, also when asked twice at once: G10", async () => {
    for (let n = 1; n <= 1000; n++) server.say("bob", { n });
    const client = await start({ keep: 200 });
    const replica = await client.open(server.log);
    dense(replica, 901, 1000);
    expect(await Promise.all([replica.older(100), replica.older(100)])).toEqual([100, 100]);
    dense(replica, 701, 1000);
    while (await replica.older(100));
    dense(replica, 1, 1000);
    expect([replica.low, replica.live]).toEqual([replica.floor, true]);
    server.say("bob", { n: 1001 });
    await until(() => replica.high === 1001);
    dense(replica, 1, 1001); // what a reader paged to stays
    replica.trim();
    dense(replica, 802, 1001);
  });

  it("jumps, comes back and is live again, whatever arrives meanwhile: G10", async () => {
    for (let n = 1; n <= 300; n++) server.say("bob", { n });
    const client = await start();
    const replica = await client.open(server.log);
    await replica.around(50, 20);
    dense(replica, 40, 59);
    expect(replica.live).toBe(false);
    server.say("bob", { n: "edited" }, { type: "edit", count: false, target: 45, slot: "edit" });
    server.say("bob", {}, { type: "recall", count: false, target: 200, slot: "recall" });
    await until(() => client.rows.get(server.log)?.head === 302);
    dense(replica, 40, 59);
    expect(replica.get(45)?.body).toEqual({ n: "edited" });
    expect(replica.get(45)?.edited).toBe(true);
    expect(await replica.older(10)).toBe(10);
    dense(replica, 30, 59);
    while (!(await replica.newer(100)));
    dense(replica, 30, 302);
    expect(replica.live).toBe(true);
    expect(replica.get(200)).toMatchObject({ recalled: true });
    expect(replica.get(200)?.entry.body).toEqual({});
    server.say("bob", { n: 303 });
    await until(() => replica.high === 303);
    dense(replica, 30, 303);
  });

  it("gives the same objects while nothing changes, new ones where something did: G10", async () => {
    for (let n = 1; n <= 3; n++) server.say("bob", { n });
    const client = await start();
    const replica = await client.open(server.log);
    const [before, first, second] = [replica.shown, replica.get(1), replica.get(2)];
    expect(replica.shown).toBe(before);
    server.say("bob", { emoji: "+1" }, { type: "reaction", count: false, target: 2, slot: "react:bob:+1" });
    await until(() => replica.high === 4);
    expect(replica.shown).not.toBe(before);
    expect(replica.get(1)).toBe(first);
    expect(replica.get(2)).not.toBe(second);
    expect([...replica.get(2)!.slots.keys()]).toEqual(["react:bob:+1"]);
  });

  it("forgets the body of what is recalled, in memory and in the store: G10", async () => {
    const store = new MemoryStore();
    server.say("bob", { text: "secret" });
    const client = await start({ store });
    const replica = await client.open(server.log);
    server.say("bob", {}, { type: "recall", count: false, target: 1, slot: "recall" });
    await until(() => replica.high === 2);
    expect(replica.get(1)?.recalled).toBe(true);
    expect([replica.get(1)?.body, replica.get(1)?.entry.body]).toEqual([{}, {}]);
    await client.close();
    expect(JSON.stringify(await store.range(""))).not.toContain("secret");
  });

  it("shows the store's copy without a network, and reads what is new after: G10", async () => {
    const store = new MemoryStore();
    for (let n = 1; n <= 5; n++) server.say("bob", { n });
    const first = await start({ store });
    await first.open(server.log);
    await first.close();
    server.down = true;
    const second = await start({ store });
    const replica = await second.open(server.log);
    dense(replica, 1, 5);
    expect(second.rows.get(server.log)?.head).toBe(5);
    server.say("bob", { n: 6 });
    server.down = false;
    second.wake();
    await until(() => replica.high === 6);
    dense(replica, 1, 6);
  });

  it("hides at once what was deleted for this user: G12", async () => {
    for (let n = 1; n <= 3; n++) server.say("bob", { n });
    const client = await start();
    const replica = await client.open(server.log);
    const told: string[] = [];
    client.on("log", ({ log }) => told.push(log));
    await client.call("chat.delete", { seqs: [2, 99] }, { log: server.log });
    expect(replica.get(2)).toMatchObject({ hidden: true, entry: { type: "hidden" } });
    expect(replica.get(2)?.body).toEqual({});
    expect(replica.get(1)?.hidden).toBe(false);
    expect(told).toEqual([server.log]);
  });

  it("what was watched is asked for again on the next connection, and when something was left out", async () => {
    const client = await start();
    await client.connected(5000);
    await client.watch(["bob"]);
    const asked = () => server.frames.filter(({ t, name }) => t === "query" && name === "presence").length;
    const seen: string[] = [];
    client.on("presence", ({ user, state }) => seen.push(`${user} ${state}`));
    server.cut();
    await until(() => seen.length === 1 && client.status.synced);
    expect([asked(), seen]).toEqual([2, ["bob online"]]);
    for (const socket of server.sockets) {
      socket.give({ t: "inbox", page: { rows: [], upto: 0, more: true } });
    }
    await until(() => seen.length === 2);
  });

  it("is counted: open twice, close twice: G10", async () => {
    server.say("bob", {});
    const client = await start();
    const one = await client.open(server.log);
    const two = await client.open(server.log);
    expect(two).toBe(one);
    one.close();
    server.say("bob", {});
    await until(() => two.high === 2);
    two.close();
    server.say("bob", {});
    await until(() => client.rows.get(server.log)?.head === 3);
    expect(two.high).toBe(2);
    const again = await client.open(server.log);
    await until(() => again.high === 3);
  });

  it("an iteration that is left lets go of the log: G10", async () => {
    for (let n = 1; n <= 3; n++) server.say("bob", { n });
    const client = await start();
    const seqs: number[] = [];
    for await (const entry of client.entries(server.log, 1)) {
      seqs.push(entry.seq);
      if (entry.seq === 3) server.say("bob", { n: 4 });
      if (entry.seq === 4) break;
    }
    expect(seqs).toEqual([2, 3, 4]);
    const { opened } = (client as unknown as { core: { follower: { opened: Map<string, unknown> } } }).core.follower;
    expect(opened.size).toBe(0);
  });
});
