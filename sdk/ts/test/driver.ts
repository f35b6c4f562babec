/**
 * The TypeScript SDK under a script: does and shows what the lines of a case say.
 *
 * Lines on stdin, each answered by one on stdout (empty: done or true). `{"port","client","kept"}`
 * begins a case, `{"do"}` and `{"check"}` are those of `tests/conformance/cases/README.md`,
 * `{"end":true}` ends it.
 */

import "fake-indexeddb/auto";
import { createInterface } from "node:readline";
import WebSocket from "ws";

import { createClient, IndexedStore, LogCut, MemoryStore, Refusal } from "../src/index.js";
import type { Client, Json, Replica, Sent, SocketClass, Storage } from "../src/index.js";

const CHECK_MS = 5_000;

interface Config {
  tokens?: string[];
  keep?: number;
  device?: string;
}
type Value = Record<string, never>;

/** Somebody who reads a log to the end, or to an error. */
class Reader {
  readonly seqs: number[] = [];
  error: unknown;

  async run(client: Client, log: string, after: number): Promise<void> {
    try {
      for await (const entry of client.entries(log, after)) this.seqs.push(entry.seq);
    } catch (error) {
      this.error = error;
    }
  }

  shown(value: { as: string; cut?: unknown; code?: unknown }): unknown {
    const { error } = this;
    const cut = error instanceof LogCut ? [error.cut.low, error.cut.high] : undefined;
    const code = error instanceof Refusal ? error.code : null;
    return {
      as: value.as,
      seqs: this.seqs,
      ...("cut" in value && cut && { cut }),
      ...("code" in value && { code }),
    };
  }
}

class Driver {
  private client!: Client;
  private tokens = 0;
  private results = new Map<string, Sent>();
  private replicas = new Map<string, Replica>();
  private readers = new Map<string, Reader>();
  private seen = new Map<string, number[]>();
  private cuts: unknown[] = [];
  private told: unknown[] = [];

  constructor(
    private readonly port: number,
    private readonly config: Config,
    private readonly store: () => Promise<Storage>,
  ) {}

  async start(): Promise<void> {
    const client = (this.client = createClient({
      url: `ws://127.0.0.1:${this.port}`,
      getToken: async () => {
        const tokens = this.config.tokens ?? ["token"];
        return tokens[Math.min(this.tokens++, tokens.length - 1)]!;
      },
      device: this.config.device ?? "d1",
      keep: this.config.keep ?? 500,
      store: await this.store(),
      transports: ["websocket"],
      webSocket: WebSocket as unknown as SocketClass,
    }));
    client.on("log", ({ log, entries }) => {
      const seqs = entries.map((entry) => entry.seq);
      this.seen.set(log, [...(this.seen.get(log) ?? []), ...seqs]);
    });
    client.on("cut", ({ low, high, reason }) => this.cuts.push([low, high, reason]));
    const awaited = (op: string) => [...this.results.values()].some((sent) => sent.op === op);
    client.on("acked", ({ op, ack }) => awaited(op) || this.told.push(["acked", ack.seq]));
    client.on("refused", ({ op, error }) => awaited(op) || this.told.push(["refused", error.code]));
    await client.start();
  }

  async stop(): Promise<void> {
    this.results.clear();
    this.replicas.clear();
    await this.client.close();
  }

  async do(action: Record<string, Value>): Promise<void> {
    const [verb, value] = Object.entries(action)[0]!;
    switch (verb) {
      case "call": {
        const { as, name, args, log, op } = value as unknown as Record<string, string>;
        const sent = this.client.call(name!, (args ?? {}) as Json, { log: log ?? "", op });
        this.results.set(as!, sent);
        return;
      }
      case "open": {
        const log = value as unknown as string;
        // who opens may be refused; the case checks what is shown
        this.client.open(log).then((held) => this.replicas.set(log, held), () => {});
        return;
      }
      case "mark_read":
        return this.client.markRead(value["log"]!, value["seq"]!);
      case "reader": {
        const reader = new Reader();
        this.readers.set(value["as"]!, reader);
        void reader.run(this.client, value["log"]!, value["after"]!);
        return;
      }
      case "signal":
        return this.client.signal(value["log"]!, value["name"]!, value["body"]);
      case "wake":
        return this.client.wake();
      case "restart":
        await this.stop();
        return this.start();
      default:
        throw new Error(`unknown action ${verb}`);
    }
  }

  async check(wanted: Record<string, unknown>): Promise<void> {
    const [verb, value] = Object.entries(wanted)[0]!;
    if (verb === "result") return this.result(value as Record<string, unknown>);
    const deadline = Date.now() + CHECK_MS;
    const want = verb === "row" ? without(value as object, "log") : field(verb, value);
    for (;;) {
      const shows = this.shown(verb, value as Value);
      if (canonical(shows) === canonical(want)) return;
      if (Date.now() > deadline) throw new Error(`shows ${JSON.stringify(shows)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  private shown(verb: string, value: Value): unknown {
    const { client } = this;
    switch (verb) {
      case "entries":
        return this.seen.get(value["log"]!) ?? [];
      case "bodies": {
        const shown = this.replicas.get(value["log"]!)?.shown ?? [];
        return shown.filter(({ entry }) => entry.count && !entry.target).map(({ body }) => body);
      }
      case "row": {
        const row = client.rows.get(value["log"]!) as unknown as Record<string, unknown> | undefined;
        const keys = Object.keys(value).filter((key) => key !== "log");
        return Object.fromEntries(keys.map((key) => [key, row?.[key] ?? null]));
      }
      case "rows":
        return client.rows.size;
      case "pending":
        return client.outbox.filter((call) => call.state !== "failed").length;
      case "skipped":
        return this.cuts;
      case "told":
        return this.told;
      case "tokens":
        return this.tokens;
      case "reader":
        return this.readers.get(value["as"]!)!.shown(value as unknown as { as: string });
      case "stopped": {
        const { error } = client.status;
        return typeof value === "string" ? error?.name : (error as Refusal | undefined)?.code;
      }
      default:
        throw new Error(`unknown check ${verb}`);
    }
  }

  private async result(value: Record<string, unknown>): Promise<void> {
    const late = new Promise<never>((_, reject) =>
      setTimeout(() => reject(new Error("no answer yet")), CHECK_MS).unref(),
    );
    try {
      const ack = await Promise.race([this.results.get(value["of"] as string)!, late]);
      for (const [key, part] of Object.entries(without(value, "of"))) {
        const got = (ack as unknown as Record<string, unknown>)[key];
        if (canonical(got) !== canonical(part)) throw new Error(JSON.stringify(ack));
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code !== value["code"]) throw new Error(`refused with ${error.code}`);
    }
  }
}

function field(verb: string, value: unknown): unknown {
  const { seqs, bodies } = value as { seqs?: unknown; bodies?: unknown };
  return verb === "entries" ? seqs : verb === "bodies" ? bodies : value;
}

function without(value: object, key: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    part && typeof part === "object" && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

let cases = 0;
let driver: Driver | undefined;

async function answer(line: Record<string, never>): Promise<void> {
  if ("port" in line) {
    const name = `case-${++cases}`;
    const memory = new MemoryStore();
    const store = line["kept"] ? () => IndexedStore.open(name) : async () => memory;
    driver = new Driver(line["port"]!, line["client"]!, line["kept"] ? store : async () => new MemoryStore());
    await driver.start();
  } else if ("do" in line) {
    await driver!.do(line["do"]);
  } else if ("check" in line) {
    await driver!.check(line["check"]);
  } else {
    await driver!.stop();
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let problem = "";
  try {
    await answer(JSON.parse(line) as Record<string, never>);
  } catch (error) {
    problem = String(error).replaceAll("\n", " ");
  }
  process.stdout.write(problem + "\n");
}
process.exit(0);
