/** The client of this tab as signals: what a component reads here, it is drawn again for. */

import { batch, computed, signal } from "@preact/signals";
import { createClient, type Client, type InboxRow, type PendingCall, type Status } from "@hongyan/sdk";
import { deviceId, enterBy, getToken, logOut, type Me, whoAmI } from "./login.js";
import { forgetPictures } from "./offline.js";
import { reasonOf, reasonOfLink } from "./reasons.js";
import { byActivity } from "./rows.js";
import { eraseHash } from "./view.js";

/** `starting`: not known yet. `out`: show the login page. `in`: `me` and `client()` are there. */
export type Phase = "starting" | "out" | "in";

export const phase = signal<Phase>("starting");
export const me = signal<Me | null>(null);
export const status = signal<Status>({ state: "connecting", leader: false, synced: false });
export const rows = signal<ReadonlyMap<string, InboxRow>>(new Map());
export const outbox = signal<readonly PendingCall[]>([]);
/** Why the person was logged out against their will; "" otherwise. Shown on the login page. */
export const outBecause = signal("");

/** All conversations that are not archived nor left: pinned ones first, then the newest first. */
export const sortedRows = computed(() => byActivity(rows.value.values()));

/** Unread conversations that are not muted: for the title and the badge. */
export const unreadTotal = computed(() => {
  let n = 0;
  for (const row of rows.value.values()) {
    const { mute, archived } = row.settings as { mute?: boolean; archived?: boolean };
    if (row.role && !archived && (!mute || row.mentions)) n += row.unread || (row.marked ? 1 : 0);
  }
  return n;
});

let current: Client | null = null;
const leaving: (() => void)[] = [];

/** The SDK's client. Throws when nobody is logged in: components exist only while `phase` is `in`. */
export function client(): Client {
  if (!current) throw new Error("nobody is logged in");
  return current;
}

/** Run at every login, e.g. to listen to the client; what it returns runs at the log-out. */
export function onLogin(begin: (client: Client, me: Me) => () => void): void {
  begins.push(begin);
}

const begins: ((client: Client, me: Me) => () => void)[] = [];
const LAST = "hongyan.me"; // who was here last: the page opens without a network

function remembered(): Me | null {
  const text = localStorage.getItem(LAST);
  return text ? (JSON.parse(text) as Me) : null;
}

/** Find out who is logged in, by a `#enter=` link, the cookie, or offline by what was kept. */
export async function begin(): Promise<void> {
  const code = /^#enter=([\w.~-]+)$/.exec(location.hash)?.[1];
  if (code) {
    eraseHash(); // it must not stay in the history
    try {
      await enterBy(code);
    } catch (error) {
      outBecause.value = reasonOfLink(error);
    }
  }
  let who: Me | null;
  try {
    who = await whoAmI();
    if (!who) localStorage.removeItem(LAST); // logged out from elsewhere: no cache for this one
  } catch {
    who = remembered(); // no network, or the server is busy: go on with the cache
  }
  if (who) await enter(who);
  else phase.value = "out";
}

/** After a login by one of the functions of `login.ts`. */
export async function entered(): Promise<void> {
  const who = await whoAmI();
  if (who) await enter(who);
}

async function enter(who: Me): Promise<void> {
  localStorage.setItem(LAST, JSON.stringify(who));
  const made = createClient({
    url: location.origin,
    getToken,
    device: who.device || deviceId(),
    name: `${who.tenant}:${who.user}`,
    client: "hongyan-web",
    lang: navigator.language,
  });
  leaving.push(
    made.on("status", (now) => {
      status.value = now;
      if (now.state === "stopped") void stopped(now);
    }),
    made.on("rows", () => (rows.value = new Map(made.rows))),
    made.on("outbox", (calls) => (outbox.value = [...calls])),
  );
  await made.start();
  current = made;
  for (const each of begins) leaving.push(each(made, who));
  batch(() => {
    me.value = who;
    status.value = made.status;
    rows.value = new Map(made.rows);
    outbox.value = [...made.outbox];
    outBecause.value = "";
    phase.value = "in";
  });
}

function leave(): void {
  for (const each of leaving.splice(0)) each();
  current = null;
  batch(() => {
    phase.value = "out";
    me.value = null;
    rows.value = new Map();
    outbox.value = [];
  });
}

async function stopped(now: Status): Promise<void> {
  const was = current;
  if (!was) return;
  leave();
  outBecause.value = now.error ? reasonOf(now.error) : "";
  localStorage.removeItem(LAST);
  await was.close();
}

/** Log out on purpose: the server forgets the device, this browser what it kept. */
export async function leaveForGood(): Promise<void> {
  const was = current;
  localStorage.removeItem(LAST);
  leave();
  await forgetPictures();
  await was?.close({ logout: true });
  await logOut();
}
