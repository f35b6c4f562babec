import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { createClient, IndexedStore, LoggedOut, Stopped } from "../src/index.js";
import type { Client, ClientOptions } from "../src/index.js";
import { FakeLocks, FakeServer, until } from "./fakes.js";

let server: FakeServer;
let name: string;
let open: Client[];
let count = 0;

beforeEach(() => {
  server = new FakeServer();
  name = `tabs-${++count}`;
  open = [];
  vi.stubGlobal("navigator", { locks: new FakeLocks(), onLine: true });
});

afterEach(async () => {
  await Promise.all(open.map((client) => client.close()));
  vi.unstubAllGlobals();
});

async function tab(options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = createClient({
    url: "http://server",
    getToken: async () => "token",
    name,
    shareTabs: true,
    transports: ["websocket"],
    webSocket: server.WebSocket,
    ...options,
  });
  open.push(client);
  await client.start();
  return client;
}

/** Close as a crash does: no word to anybody, nothing written, the lock free. */
function crash(client: Client): void {
  const tabs = (client as unknown as { tabs: { channel: BroadcastChannel; release(): void } }).tabs;
  const core = (client as unknown as { core: { look: unknown; shell: { link?: { close(): void } } } }).core;
  tabs.channel.onmessage = null;
  tabs.channel.postMessage = () => {};
  (client as unknown as { core: { over: boolean } }).core.over = true;
  const shell = core.shell as { error?: Error; link?: { close(): void } } | undefined;
  if (shell) {
    shell.error = new Stopped("crashed");
    shell.link?.close();
  }
  tabs.release();
}

const texts = (client: Client, log: string) =>
  client.rows.get(log)?.last?.body as { content?: { text?: string } } | undefined;

describe("several tabs", () => {
  it("share one connection: G4", async () => {
    const [one, two, three] = [await tab(), await tab(), await tab()];
    await Promise.all([one.connected(5000), two.connected(5000), three.connected(5000)]);
    expect(server.hellos).toHaveLength(1);
    expect([one, two, three].filter((client) => client.status.leader)).toHaveLength(1);
    await until(() => three.rows.size === 1 && two.user === "alice" && three.status.synced);
  });

  it("call, read and ask through the leader: G4", async () => {
    const [, two] = [await tab(), await tab()];
    const ack = await two.send(server.log, "from the second");
    expect(ack.seq).toBe(1);
    const page = await two.read(server.log, { before: 0 });
    expect(page.entries.map((entry) => entry.seq)).toEqual([1]);
    const replica = await two.open(server.log);
    server.say("bob", { n: 2 });
    await until(() => replica.high === 2);
    expect(await two.watch(["bob"])).toEqual([{ user: "bob", state: "online", last_seen: 0 }]);
    expect(server.sockets.size).toBe(1);
  });

  it("see each other's calls, rows and reads: G4", async () => {
    const [one, two] = [await tab(), await tab()];
    await two.connected(5000);
    server.held = [];
    const sent = two.send(server.log, "waits");
    await until(() => one.outbox[0]?.state === "sent" && two.outbox[0]?.state === "sent");
    server.held.forEach((give) => give());
    await sent;
    await until(() => one.outbox.length === 0 && two.outbox.length === 0);
    server.say("bob", { content: { text: "hello" } });
    await until(() => one.rows.get(server.log)?.unread === 1 && two.rows.get(server.log)?.unread === 1);
    await two.markRead(server.log);
    await until(() => server.read === 2 && one.rows.get(server.log)?.unread === 0);
    expect(texts(two, server.log)?.content?.text).toBe("hello");
  });

  it("lose and double nothing when the leader goes: G5", async () => {
    const [one, two] = [await tab(), await tab()];
    await two.connected(5000);
    server.held = []; // the answers of the first connection never come
    const sents = ["a", "b"].map((text) => two.send(server.log, text));
    await until(() => server.entries.length === 1);
    server.held = undefined;
    await one.close();
    const acks = await Promise.all(sents);
    expect(acks.map((ack) => ack.repeat)).toEqual([true, false]);
    expect(server.entries).toHaveLength(2);
    expect(two.status.leader).toBe(true);
    expect(server.hellos).toHaveLength(2);
  });

  it("lose nothing when the leader crashes with the others' calls and questions: G5", async () => {
    const [one, two, three] = [await tab(), await tab(), await tab()];
    await Promise.all([two.connected(5000), three.connected(5000)]);
    server.held = [];
    const sents = [two.send(server.log, "a"), three.send(server.log, "b"), one.send(server.log, "c")];
    await until(() => server.entries.length >= 1 && three.outbox.length === 3 && two.outbox.length === 3);
    server.down = true;
    crash(one);
    const asked = Promise.all([two, three].map((tab) => tab.read(server.log, { before: 0 })));
    server.held = undefined;
    server.down = false;
    await Promise.all([sents[0], sents[1]]);
    await until(() => server.entries.length === 3, () => server.calls);
    expect(new Set(server.entries.map((entry) => entry.op)).size).toBe(3);
    for (const page of await asked) expect(page.entries.length).toBeGreaterThan(0);
    await until(() => two.outbox.length === 0 && three.outbox.length === 0);
  });

  it("follow a leader that loses its connection, and tell that they wait: G4", async () => {
    const [, two] = [await tab(), await tab()];
    await two.connected(5000);
    server.down = true;
    server.cut();
    await until(() => two.status.state === "waiting");
    server.down = false;
    two.wake();
    await two.connected(5000);
    expect(two.status).toMatchObject({ state: "open", leader: false, transport: "websocket" });
  });

  it("are away when nobody looks at any of them, also after a change of leader: G4", async () => {
    const [one, two] = [await tab(), await tab()];
    await two.connected(5000);
    const away = (client: Client) =>
      (client as unknown as { core: { session?: { away: boolean } } }).core.session?.away;
    one.away(false);
    two.away(true);
    await until(() => two.status.synced);
    expect(away(one)).toBe(false);
    one.away(true);
    expect(away(one)).toBe(true);
    two.away(false);
    await until(() => away(one) === false);
    const three = await tab();
    three.away(false);
    two.away(true);
    await one.close();
    await until(() => two.status.leader && two.status.state === "open" && away(two) === false);
    three.away(true);
    await until(() => away(two) === true);
  });

  it("end together at a log-out, and the store is empty: G6", async () => {
    const [one, two] = [await tab(), await tab()];
    await two.connected(5000);
    server.say("bob", { text: "secret" });
    const [mine, theirs] = [await one.open(server.log), await two.open(server.log)];
    server.say("bob", { text: "more" });
    await until(() => mine.high === 2 && theirs.high === 2);
    await two.close({ logout: true });
    await until(() => one.status.state === "stopped");
    for (const replica of [mine, theirs]) replica.close();
    await one.close();
    expect(one.status.error).toBeInstanceOf(LoggedOut);
    await until(() => server.frames.some((frame) => frame.t === "bye" && frame["logout"] === true));
    const fresh = await tab({ shareTabs: false, getToken: () => new Promise(() => {}) });
    expect(fresh.user).toBe("");
    expect(fresh.rows.size).toBe(0);
    const left = await (await IndexedStore.open(`hongyan:${name}`)).range("");
    expect(left.filter(([key]) => key !== "device").map(([key]) => key)).toEqual([]);
  });

  it("make way for a client of after the end: G6", async () => {
    const one = await tab();
    await one.connected(5000);
    for (const socket of server.sockets) {
      socket.give({ t: "goodbye", code: 206, text: "elsewhere", reconnect_after_ms: -1 });
    }
    await until(() => one.status.state === "stopped");
    const two = await tab();
    await two.connected(5000);
    expect(two.status.leader).toBe(true);
  });
});
