/**
 * Looks for what keeps people out: runs axe over the pages of a running server.
 *
 *     node web/test/axe.mjs http://127.0.0.1:8000 USER PASSWORD [--phone] [--dark] [--zh] [--only NAME]
 *     node web/test/axe.mjs http://127.0.0.1:8000/#enter=CODE [--phone] …
 *
 * The user needs at least one group and one direct conversation. Prints every finding; exits 1
 * when one is serious or critical, 2 when a page could not be reached. CHROMIUM names the browser.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const GRAVE = new Set(["serious", "critical"]);
const WAIT = 15_000; // ms for anything to appear

const args = process.argv.slice(2);
const flag = (name) => args.includes(name);
const only = flag("--only") ? args[args.indexOf("--only") + 1] : "";
const [url, user, password] = args;
const link = url?.includes("#enter=") ?? false;
if (!url || (!link && (!user || !password))) {
  console.error("usage: node axe.mjs URL USER PASSWORD (or LINK) [--phone] [--dark] [--zh] [--only NAME]");
  process.exit(2);
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
  ],
});
const context = await browser.newContext({
  viewport: flag("--phone") ? { width: 390, height: 844 } : { width: 1280, height: 800 },
  colorScheme: flag("--dark") ? "dark" : "light",
  locale: flag("--zh") ? "zh-CN" : "en-US",
  reducedMotion: "reduce", // colours are measured when nothing moves
});
const page = await context.newPage();
page.setDefaultTimeout(WAIT);

let grave = 0;

/** Run axe over what is shown, and print what it finds. */
async function look(name) {
  if (only && !name.includes(only)) return;
  await page.evaluate(axe); // not a script tag: the page's policy allows none
  await page.evaluate(() => Promise.all(document.getAnimations().map((a) => a.finished.catch(() => 0))).then(() => 0));
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const bad = violations.filter((v) => GRAVE.has(v.impact));
  grave += bad.length;
  console.log(`${bad.length ? "FAIL" : "ok  "} ${name}: ${violations.length} findings, ${bad.length} serious or critical`);
  for (const v of violations) {
    console.log(`     ${v.impact}: ${v.id}: ${v.help}`);
    for (const node of v.nodes.slice(0, 3)) {
      console.log(`       ${node.target.join(" ")}  ${node.html.slice(0, 160)}`);
      console.log(`         ${(node.failureSummary ?? "").split("\n").slice(1, 3).join(" ").trim()}`);
    }
  }
}

const click = (selector, nth = 0) => page.locator(selector).nth(nth).click();
const back = () => (flag("--phone") ? page.goBack() : Promise.resolve());
const escape = () => page.keyboard.press("Escape");

async function login() {
  await page.goto(url.split("#")[0]);
  await page.waitForSelector(".login-form");
  await look("login");
  await click(".login-form button[type=submit]");
  await look("login with errors");
  if (await page.locator(".login-more .login-other").count() > 1) {
    await click(".login-more .login-other"); // registration is open
    await look("registration");
    await click(".login-more .login-other");
  }
  await page.locator(".login-more .login-other").last().click();
  await look("first administrator");
  await click(".login-more .login-other");
  if (link) {
    await page.goto(url);
    await page.reload(); // only the part after "#" had changed
  } else {
    await page.fill("input[autocomplete=username]", user);
    await page.fill("input[type=password]", password);
    await click(".login-form button[type=submit]");
  }
  await page.waitForSelector(".row");
}

async function list() {
  await look("list");
  await page.locator(".row").first().click({ button: "right" });
  await look("menu of a conversation");
  await escape();
  await page.fill(".list-find input", "e");
  await page.waitForSelector(".found .hit");
  await look("found");
  await page.fill(".list-find input", "");
  await click(".list-head .icon-btn");
  await page.waitForSelector("dialog[open]");
  await look("new chat");
  await click("dialog[open] .hit");
  await look("new group: people");
  await click("dialog[open] .dialog-foot .btn-primary");
  await look("new group");
  await escape();
  await page.keyboard.press("Control+k");
  await page.waitForSelector(".palette");
  await look("palette");
  await escape();
}

async function thread(log, name) {
  await page.evaluate((hash) => (location.hash = hash), `#/c/${log}`);
  await page.waitForSelector(".app-thread textarea, .app-thread [contenteditable]");
  await page.waitForTimeout(500); // pictures and names come in
  await look(`list and thread (${name})`);
  await page.evaluate(() => globalThis.document.querySelector(".app-thread header")?.scrollIntoView());
  await click(".app-thread header .icon-btn:last-of-type");
  await page.waitForSelector(".details .profile");
  await look(`details (${name})`);
  const ways = await page.locator(".details .way:not(.way-grave)").count();
  for (let i = 0; i < ways; i++) {
    await click(".details .way:not(.way-grave)", i);
    await page.waitForTimeout(400);
    await look(`details, page ${i + 1} (${name})`);
    await click(".details .side-head .icon-btn");
  }
  await click(".details .quick", 1);
  await page.waitForSelector(".search input");
  await page.fill(".search input", "e");
  await page.waitForSelector(".search .hit, .search .empty");
  await look(`search (${name})`);
  await click(".search .side-head .icon-btn");
  await page.waitForSelector(".calendar");
  await look("calendar");
  await escape();
  await click(".search .side-head .icon-btn", 1);
  await back();
}

async function settings() {
  await click(".list-me");
  await page.waitForSelector("dialog.menu");
  await look("menu of the account");
  await page.locator("dialog.menu .menu-item").filter({ hasText: /Settings|设置/ }).click();
  await page.waitForSelector(".settings");
  if (flag("--phone")) await look("settings");
  const sections = await page.locator(".settings-way:not(.settings-out)").count();
  for (let i = 0; i < sections; i++) {
    await click(".settings-way:not(.settings-out)", i);
    await page.waitForTimeout(400);
    await look(`settings, section ${i + 1}`);
    if (flag("--phone")) await click(".settings .dialog-head .icon-btn");
  }
  await escape();
}

/** The lobby, and the first of the rooms that the user moderates. */
async function live() {
  await page.evaluate(() => (location.hash = "#/live"));
  await page.waitForSelector(".lobby");
  await look("live rooms");
  if (!(await page.locator(".card").count())) return;
  await click(".card");
  await page.waitForSelector(".talk-list .line");
  await look("live room");
  await click(".speak .icon-btn");
  await click(".speak .like");
  await look("live room: colours and gifts");
  await page.locator(".line-more").first().click();
  await page.waitForSelector("dialog.menu");
  await look("live room: menu of a message");
  await escape();
  await click(".room-head .icon-btn", 2);
  await page.waitForSelector(".manage");
  await look("live room: moderation");
  await escape();
}

try {
  await login();
  await list();
  const logs = await page.locator(".row").evaluateAll((rows) => rows.map((row) => row.dataset.log));
  const group = logs.find((log) => log.includes("/g/"));
  const direct = logs.find((log) => log.includes("/d/"));
  if (!group || !direct) throw new Error("the user needs a group and a direct conversation");
  await thread(group, "group");
  await thread(direct, "direct");
  await settings();
  await live();
} catch (error) {
  console.error(`could not go on: ${error.message}`);
  grave ||= -1;
}
await browser.close();
process.exit(grave < 0 ? 2 : grave > 0 ? 1 : 0);
