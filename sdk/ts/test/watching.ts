/**
 * Watches a room of a real server and prints what it is told, a line of JSON each.
 *
 * `watching.mjs URL TOKEN LOG`; a line on stdin is a call `{"name", "args", "op"?}`, "close" ends.
 */

import { createInterface } from "node:readline";
import WebSocket from "ws";

import { createClient } from "../src/index.js";
import { watch } from "@hongyan/sdk/live";
import type { Json, SocketClass } from "../src/index.js";

const [url, token, log] = process.argv.slice(2) as [string, string, string];
const tell = (what: Json) => process.stdout.write(JSON.stringify(what) + "\n");
const client = createClient({
  url,
  getToken: async () => token,
  transports: ["websocket"],
  webSocket: WebSocket as unknown as SocketClass,
});
await client.start();
// [live]
const room = await watch(client, log, {
  attached: ({ again, head, state }) => tell({ attached: again, head, title: (state as { title: string }).title }),
  items: (items) => tell({ items: items.map(({ off, type, from, body }) => ({ off, type, from, body })) }),
  values: (changed) => tell({ values: Object.fromEntries(changed) }),
  gap: (n, reason) => tell({ gap: n, reason }),
  entries: (entries) => tell({ entries: entries.map(({ seq, type, from }) => ({ seq, type, from })) }),
  ended: ({ name }) => tell({ ended: name }),
  // [/live]
}).catch((error: Error) => tell({ refused: error.name }));

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "wake") client.wake();
  else if (line === "close") break;
  else {
    const { name, args, op } = JSON.parse(line) as { name: string; args: Json; op?: string };
    client.call(name, args, { log, op }).then(
      ({ cls, stage }) => tell({ acked: name, cls, stage }),
      ({ name: why }: Error) => tell({ refused: why }),
    );
  }
}
if (room && typeof room === "object") room.close();
await client.close();
tell("closed");
