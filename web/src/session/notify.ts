/** What tells of new messages while nobody looks: the title, the app's badge, notifications. */

import { effect, signal } from "@preact/signals";
import type { Client, Entry, InboxRow } from "@hongyan/sdk";
import { titleOf } from "./names.js";
import { isChat, isGroup, settingsOf } from "./rows.js";
import { me, onLogin, phase, unreadTotal } from "./session.js";
import { entryLine, entryLineBy, type MessageBody } from "./summary.js";
import { currentLog, openChat } from "./view.js";

const NAME = "hongyan";
const KEY = "hongyan.notify";
const OLD = 60_000; // ms: what is older when it arrives is news of a reconnection, not of now

/** Whether this browser shows notifications; `ask` when it was never asked. */
export type Notifying = "on" | "off" | "ask" | "never";

function now(): Notifying {
  if (typeof Notification === "undefined") return "never";
  if (Notification.permission === "denied") return "never";
  if (Notification.permission === "default") return "ask";
  return localStorage.getItem(KEY) === "off" ? "off" : "on";
}

export const notifying = signal<Notifying>(now());

/** Switch notifications on (asks the person once) or off. Must be called by a click. */
export async function setNotifying(on: boolean): Promise<void> {
  localStorage.setItem(KEY, on ? "on" : "off");
  if (on && now() === "ask") await Notification.requestPermission();
  notifying.value = now();
}

function watched(log: string): boolean {
  return document.visibilityState === "visible" && document.hasFocus() && currentLog.peek() === log;
}

/** Whether a new message is worth a notification. */
function calls(row: InboxRow, entry: Entry, self: string): boolean {
  const body = entry.body as MessageBody;
  if (!isChat(row.log) || entry.from === self || body.silent || watched(row.log)) return false;
  if (Date.now() - entry.at > OLD || row.read >= entry.seq) return false;
  const mine = body.mention_all || body.mentions?.includes(self);
  return !settingsOf(row).mute || Boolean(mine);
}

function show(row: InboxRow, entry: Entry): void {
  const note = new Notification(titleOf(row), {
    body: isGroup(row.log) ? entryLineBy(entry) : entryLine(entry),
    tag: row.log, // a newer one of the same conversation takes its place
    icon: "/icon.svg",
  });
  note.onclick = () => {
    window.focus();
    openChat(row.log);
    note.close();
  };
}

onLogin((client: Client, who) => {
  const told = new Map<string, number>(); // seq of the last one by log
  for (const row of client.rows.values()) told.set(row.log, row.last?.seq ?? 0);
  const off = client.on("rows", (changed) => {
    for (const { log } of changed) {
      const row = client.rows.get(log);
      const entry = row?.last;
      if (!row || !entry || entry.seq <= (told.get(log) ?? 0)) continue;
      told.set(log, entry.seq);
      // One tab tells: the one that owns the connection.
      if (notifying.peek() === "on" && client.status.leader && calls(row, entry, who.user)) show(row, entry);
    }
  });
  return off;
});

effect(() => {
  const n = phase.value === "in" && me.value ? unreadTotal.value : 0;
  document.title = n > 0 ? `(${n > 99 ? "99+" : n}) ${NAME}` : NAME;
  // Not every browser has it, and it may refuse where the app is not installed.
  const badge = navigator as { setAppBadge?: (n: number) => Promise<void> };
  badge.setAppBadge?.(n).catch(() => undefined);
});
