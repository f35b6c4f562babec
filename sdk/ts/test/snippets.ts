/** Code that `docs/sdk-typescript.md` shows; `scenario.ts` runs it. */

// [send]
import { createClient, Refusal } from "@hongyan/sdk";

export async function hello(url: string, getToken: () => Promise<string>, log: string) {
  const client = createClient({ url, getToken, store: "memory" });
  await client.start();
  try {
    const { seq } = await client.send(log, "Hello"); // stored, or still trying
    console.error(`entry ${seq} of ${log}`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error; // the client was closed
    console.error(`refused: ${error.name} (${error.code}) ${error.text}`);
  }
  await client.close();
}
// [/send]

export async function watch(
  url: string,
  getToken: () => Promise<string>,
  log: string,
  meanwhile: (seen: string[]) => Promise<void>,
) {
  const seen: string[] = [];
  const client = createClient({ url, getToken, store: "memory" });
  // [show]
  client.on("rows", (rows) => {
    for (const row of rows) console.error(`${row.log}: ${row.unread} unread`);
  });
  client.on("status", ({ state, transport }) => console.error(`${state} ${transport ?? ""}`));
  await client.start();

  const replica = await client.open(log);
  const draw = () => {
    for (const { entry, body, recalled } of replica.shown) {
      if (entry.type === "message") seen.push(recalled ? "(recalled)" : JSON.stringify(body));
    }
  };
  const off = client.on("log", (changed) => changed.log === log && draw());
  draw();
  // [/show]
  await meanwhile(seen);
  // [past]
  await replica.older(); // 50 more, in front
  await replica.around(1); // jump; what arrives does not join here …
  while (!(await replica.newer())); // … until the end is reached again
  await client.markRead(log);
  // [/past]
  off();
  replica.close();
  await client.close();
}

export async function bot(url: string, getToken: () => Promise<string>, log: string, done: number) {
  // [bot]
  const client = createClient({ url, getToken, cls: "server", device: "bot-1", store: "memory" });
  await client.start();
  for await (const entry of client.entries(log, done)) {
    if (entry.type === "message" && entry.from !== client.user) {
      await client.send(log, "I have read that.");
    }
    done = entry.seq; // keep it: a new process goes on here
  }
  // [/bot]
}
