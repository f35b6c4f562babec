/**
 * How smooth the page of a live room is while much is said: counts the frames that were missed.
 *
 *     scripts/serve --demo                       # prints links
 *     node web/test/smooth.mjs LINK [--rate 200] [--seconds 15] [--room launch]
 *                              [--slow N] [--profile FILE]
 *
 * LINK is one that logs in (`http://127.0.0.1:8000/#enter=CODE`). The messages are put into the
 * page's own connection, as the server sends them, so that the page is measured and nothing else:
 * ticks of 200 ms, likes and a gift's banner among them. Three rows are printed: the room while
 * nothing is said, with the stage, and with the list alone. A frame is missed where two frames of the
 * browser's clock went by instead of one. It judges nothing: compare rows of one run. `--slow 4` makes
 * the page's own thread so many times slower, as a cheap telephone is. `--profile` writes a trace of
 * the second row, for the performance panel of Chrome's tools; writing it costs frames. CHROMIUM names
 * the browser. Exit status: 0 measured, 2 the room could not be opened.
 */

import { chromium } from "playwright-core";

const args = process.argv.slice(2);
const option = (name, otherwise) => (args.includes(name) ? args[args.indexOf(name) + 1] : otherwise);
const [link] = args;
const RATE = Number(option("--rate", "200"));
const SECONDS = Number(option("--seconds", "15"));
const ROOM = option("--room", "launch");
const SLOW = Number(option("--slow", "1"));
const PROFILE = option("--profile", "");
const TICK_MS = 200;
const FRAME_MS = 1000 / 60;
const COLOURS = ["", "", "", "#ff8787", "#ffe066", "#66d9e8"];
const TEXTS = ["哈哈哈哈", "前方高能", "this looks great!", "太好看了吧", "第一次来，主播好", "666666", "what is that song?"];

if (!link?.includes("#enter=")) {
  console.error("usage: node web/test/smooth.mjs LINK [--rate N] [--seconds N] [--room NAME] [--slow N] [--profile FILE]");
  process.exit(2);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync", "--disable-background-networking", "--disable-component-update"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, locale: "en-GB" });
page.setDefaultTimeout(30_000);

let socket; // to the page
let attached; // what the server said of the room
await page.routeWebSocket(/\/v1\/ws|\/ws/, (ws) => {
  const server = ws.connectToServer();
  ws.onMessage((data) => server.send(data));
  server.onMessage((data) => {
    ws.send(data);
    const frames = typeof data === "string" ? [JSON.parse(data)].flat() : [];
    const found = frames.find(({ t }) => t === "attached");
    if (found) [socket, attached] = [ws, found];
  });
});

let off = 0;
let said = 0;

/** What a tick of the room brings. */
function tick(n) {
  const { log, epoch } = attached;
  const items = Array.from({ length: n }, () => {
    said += 1;
    off += 1;
    const body = { text: `${TEXTS[said % TEXTS.length]} ${said}`, color: COLOURS[said % COLOURS.length] };
    return { off, type: "danmaku", from: `viewer${said % 20}`, at: Date.now(), body, lane: 1, op: `o${said}` };
  });
  return JSON.stringify([
    { t: "live", log, epoch, items },
    { t: "values", log, epoch, prev: attached.seq, seq: ++attached.seq, values: [["likes", attached.seq, said * 10]] },
  ]);
}

/** Frames of so many seconds, as the page sees them. */
function frames(seconds) {
  return page.evaluate(
    (ms) =>
      new Promise((resolve) => {
        const times = [];
        const begin = performance.now();
        const step = (now) => {
          times.push(now);
          if (now - begin < ms) requestAnimationFrame(step);
          else resolve(times);
        };
        requestAnimationFrame(step);
      }),
    seconds * 1000,
  );
}

async function measured(name, rate) {
  let owed = 0;
  let last = Date.now();
  const timer = setInterval(() => {
    const now = Date.now();
    owed += (rate * (now - last)) / 1000;
    last = now;
    const n = Math.floor(owed);
    owed -= n;
    if (n) socket.send(tick(n));
  }, TICK_MS);
  await page.waitForTimeout(3000); // until the stage is full
  const metrics = await cdp.send("Performance.getMetrics");
  const times = await frames(SECONDS);
  const after = await cdp.send("Performance.getMetrics");
  clearInterval(timer);
  const flying = await page.locator(".flyers").getAttribute("data-flying");
  const took = times.slice(1).map((time, n) => time - times[n]).sort((a, b) => a - b);
  const whole = times.at(-1) - times[0];
  const due = Math.round(whole / FRAME_MS);
  const at = (part) => took[Math.min(took.length - 1, Math.floor(took.length * part))];
  const spent = (key) => {
    const value = ({ metrics: all }) => all.find(({ name: metric }) => metric === key).value;
    return (((value(after) - value(metrics)) * 1000) / (whole / 1000)).toFixed(0);
  };
  const columns = [
    ((took.length * 1000) / whole).toFixed(1),
    `${at(0.5).toFixed(1)}`,
    `${at(0.95).toFixed(0)}`,
    `${Math.max(0, Math.round((100 * (due - took.length)) / due))} %`,
    ...["ScriptDuration", "LayoutDuration", "RecalcStyleDuration", "TaskDuration"].map(spent),
    flying ?? "0",
  ];
  console.log(`| ${name} | ${columns.join(" | ")} |`);
}

let cdp;
try {
  await page.goto(link);
  await page.waitForSelector(".row");
  await page.evaluate((room) => (location.hash = `#/live/${room}`), ROOM);
  await page.waitForSelector(".talk-list");
  for (let waited = 0; !attached && waited < 100; waited += 1) await page.waitForTimeout(100);
  if (!attached) throw new Error("the room was not attached over a WebSocket that speaks JSON");
  off = attached.off;
  cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable");
  if (SLOW > 1) await cdp.send("Emulation.setCPUThrottlingRate", { rate: SLOW });
} catch (error) {
  console.error(`could not open the room: ${error.message}`);
  await browser.close();
  process.exit(2);
}
console.log("| | frames/s | median ms | p95 ms | missed | script ms/s | layout ms/s | style ms/s | all tasks ms/s | flying |");
console.log("|---|---|---|---|---|---|---|---|---|---|");
await measured("room, nothing said", 0);
if (PROFILE) await browser.startTracing(page, { path: PROFILE, categories: ["devtools.timeline", "v8.execute", "disabled-by-default-v8.cpu_profiler", "cc", "viz", "blink"] });
await measured(`stage and list, ${RATE}/s`, RATE);
if (PROFILE) await browser.stopTracing();
await page.getByRole("button", { name: "Messages fly over the stage" }).click();
await measured(`list alone, ${RATE}/s`, RATE);
await browser.close();
