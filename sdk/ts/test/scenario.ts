/**
 * Two people against a real server, over one transport or whatever comes through.
 *
 * `scenario.mjs NAME URL TOKEN_A TOKEN_B LOG TRANSPORT`; lines on stdout are what happened, lines
 * on stdin say when the network or the server has changed. Status 0: all was as promised.
 */

import { strict as assert } from "node:assert";
import { createInterface } from "node:readline";
import WebSocket from "ws";

import { createClient, Refusal, Unauthenticated } from "../src/index.js";
import { hello, watch } from "./snippets.js";
import type { Client, ClientOptions, Json, SocketClass, TransportName } from "../src/index.js";

const [name, url, tokenA, tokenB, log, transport] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  TransportName | "auto" | "msgpack",
];
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (text: string) => process.stdout.write(text + "\n");
const told = async () => void (await lines.next());

async function person(token: string, device: string, more: Partial<ClientOptions> = {}): Promise<Client> {
  const client = createClient({
    url,
    getToken: async () => token,
    device,
    codec: transport === "msgpack" ? "msgpack" : "json",
    transports:
      transport === "auto" ? "auto" : [transport === "msgpack" ? "websocket" : transport],
    webSocket: WebSocket as unknown as SocketClass,
    ...more,
  });
  await client.start();
  return client;
}

async function until(true_: () => unknown, ms = 20_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!true_()) {
    if (Date.now() > deadline) throw new Error(`not in time: ${true_}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const textOf = (body: Json) => (body as { content?: { text?: string } }).content?.text;

/** Chat, receipts, unread, signals, refusals, deletion for oneself, deep bodies. */
async function chat(): Promise<void> {
  const [alice, bob] = [await person(tokenA, "web-a"), await person(tokenB, "web-b")];
  await Promise.all([alice.connected(15_000), bob.connected(15_000)]);
  const theirs = await bob.open(log);
  const mine = await alice.open(log);
  const before = mine.high;

  const sents = Array.from({ length: 30 }, (_, n) => alice.send(log, `number ${n}`));
  const acks = await Promise.all(sents);
  assert.deepEqual(acks.map((ack) => ack.seq), acks.map((_, n) => before + 1 + n));
  await until(() => theirs.high === before + 30 && mine.high === before + 30);
  assert.deepEqual(
    theirs.shown.slice(-30).map((shown) => textOf(shown.body)),
    sents.map((_, n) => `number ${n}`),
  );
  await until(() => bob.rows.get(log)?.unread === 30);

  const read = new Promise<number>((resolve) => {
    alice.on("receipt", (receipt) => receipt.read === theirs.high && resolve(receipt.read));
  });
  await bob.markRead(log);
  assert.equal(bob.rows.get(log)?.unread, 0);
  assert.equal(await read, theirs.high);

  const typing = new Promise<string>((resolve) => bob.on("signal", ({ user }) => resolve(user)));
  await until(() => {
    alice.signal(log, "typing", { on: true });
    return true;
  });
  assert.equal(await typing, "alice");

  await assert.rejects(alice.query("members", {}, "main/g/none"), (error) => error instanceof Refusal);
  await assert.rejects(alice.call("chat.send", { wrong: 1 }, { log }), { name: "BadArgs", code: 106 });
  assert.equal(alice.outbox[0]?.state, "failed");
  assert.equal(alice.discard(alice.outbox[0]!.op), true);

  const victim = theirs.high;
  await bob.call("chat.delete", { seqs: [victim] }, { log });
  assert.equal(theirs.get(victim)?.hidden, true);
  const page = await bob.read(log, { after: victim - 1 }, 1);
  assert.equal(page.entries[0]?.type, "hidden");

  let deep: Json = "bottom";
  for (let level = 0; level < 20; level++) deep = { a: [deep] };
  const state = await bob.watch(["alice"]);
  assert.equal(state[0]?.user, "alice");
  const repeat = await alice.call("chat.send", { content: { type: "text", text: "once" } }, { log, op: "op-1" });
  const again = await alice.call("chat.send", { content: { type: "text", text: "once" } }, { log, op: "op-1" });
  assert.equal(again.seq, repeat.seq);
  assert.equal(again.repeat, true);
  const me = await alice.http("/v1/inbox");
  assert.equal(me.status, 200);
  say(JSON.stringify({ transport: alice.status.transport }));
  await Promise.all([alice.close(), bob.close()]);
}

/** Falls to what comes through, and climbs when more does; nothing is lost or doubled. */
async function fallback(): Promise<void> {
  const [alice, bob] = [await person(tokenA, "web-a"), await person(tokenB, "web-b")];
  const seen: string[] = [];
  alice.on("status", ({ state, transport: by }) => {
    if (state === "open" && seen.at(-1) !== by) say(`open ${by}`) , seen.push(by!);
  });
  const theirs = await bob.open(log);
  const sents: Promise<unknown>[] = [];
  let n = 0;
  const timer = setInterval(() => sents.push(alice.send(log, `${n++}`)), 50);
  await told(); // the test has seen what it wanted
  clearInterval(timer);
  await Promise.all(sents);
  await until(() => textOf(theirs.shown.at(-1)!.body) === `${n - 1}`);
  const page = [];
  for await (const entry of bob.entries(log, 0)) {
    if (entry.type === "message") page.push(textOf(entry.body));
    if (entry.seq === theirs.high) break;
  }
  assert.deepEqual(page, Array.from({ length: n }, (_, i) => `${i}`));
  await Promise.all([alice.close(), bob.close()]);
}

/** A token that is not taken stops nothing: a fresh one is asked for, also by `http`. */
async function token(): Promise<void> {
  const asked: boolean[] = [];
  const getToken = async (fresh: boolean) => {
    asked.push(fresh);
    return fresh ? tokenA : "nonsense";
  };
  const alice = await person(tokenA, "web-a", { getToken });
  const errors: unknown[] = [];
  alice.on("status", ({ error }) => error && errors.push(error));
  await alice.connected(15_000);
  assert.ok(errors[0] instanceof Unauthenticated, String(errors[0]));
  assert.deepEqual(asked, [false, true]);
  assert.equal((await alice.http("/v1/inbox")).status, 200);
  assert.equal((await alice.http("/v1/inbox")).status, 200);
  assert.deepEqual(asked, [false, true, false, true]);
  await alice.close();
}

/** What the documentation shows. */
async function snippets(): Promise<void> {
  await watch(url, async () => tokenB, log, async (seen) => {
    await hello(url, async () => tokenA, log);
    await until(() => seen.length > 0);
  });
}

await { chat, fallback, token, snippets }[name]!();
say("done");
process.exit(0);
