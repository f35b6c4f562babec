/** Notifications of the browser for new messages, shown by one tab while nobody looks. */

import { signal } from "@preact/signals";
import type { Client, InboxRow } from "@hongyan/sdk";
import {
  currentLog, entryLine, isChat, isGroup, nameOf, onLogin, openChat, rows, settingsOf, titleOf,
} from "../session/index.js";
import { dictionary } from "../ui/index.js";

const words = dictionary(
  { wrote: "New message", wroteBy: (name: string) => `New message from ${name}` },
  { wrote: "新消息", wroteBy: (name: string) => `${name} 发来新消息` },
);

export interface NotifyChoice {
  on: boolean;
  /** Show what was written, not only by whom. */
  preview: boolean;
  sound: boolean;
}

const KEY = "hongyan.notify";
const LONGEST = 160; // characters of a message

function stored(): NotifyChoice {
  const text = localStorage.getItem(KEY);
  return { on: false, preview: true, sound: true, ...(text ? (JSON.parse(text) as Partial<NotifyChoice>) : {}) };
}

export const notifyChoice = signal<NotifyChoice>(stored());

/** What the browser says: `default` = not asked yet, "" = it has no notifications. */
export const permission = signal<NotificationPermission | "">(
  typeof Notification === "undefined" ? "" : Notification.permission,
);

/** Change what is shown; switching on asks the person through the browser. */
export async function setNotify(change: Partial<NotifyChoice>): Promise<void> {
  if (change.on && permission.value === "default") permission.value = await Notification.requestPermission();
  const next = { ...notifyChoice.value, ...change };
  if (permission.value !== "granted") next.on = false;
  notifyChoice.value = next;
  localStorage.setItem(KEY, JSON.stringify(next));
}

/** Whether a changed row is news for this person: a later message of somebody else, not muted. */
export function isNews(row: InboxRow, lastSeq: number, self: string): boolean {
  const { last } = row;
  if (!last || !isChat(row.log) || last.seq <= lastSeq || last.from === self || row.unread <= 0) return false;
  const own = settingsOf(row);
  return (!own.mute && !own.archived) || row.mentions > 0;
}

let audio: AudioContext | null = null;

/** Two soft tones. Silent where the browser wants a click first. */
function chime(): void {
  audio ??= new AudioContext();
  if (audio.state !== "running") return void audio.resume();
  [660, 880].forEach((pitch, i) => {
    const at = audio!.currentTime + i * 0.12;
    const tone = audio!.createOscillator();
    const volume = audio!.createGain();
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, at);
    volume.gain.exponentialRampToValueAtTime(0.12, at + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.25);
    tone.connect(volume).connect(audio!.destination);
    tone.start(at);
    tone.stop(at + 0.26);
  });
}

function notify(row: InboxRow): void {
  const { preview, sound } = notifyChoice.value;
  const { last } = row;
  if (!last) return;
  const author = nameOf(last.from);
  const line = entryLine(last).slice(0, LONGEST);
  const body = !preview ? (isGroup(row.log) ? words().wroteBy(author) : words().wrote) : isGroup(row.log) ? `${author}: ${line}` : line;
  const shown = new Notification(titleOf(row), { body, tag: row.log, silent: true });
  shown.onclick = () => {
    window.focus();
    openChat(row.log);
    shown.close();
  };
  if (sound) chime();
}

/** Whether the person looks at this conversation now. */
function watched(log: string): boolean {
  return document.visibilityState === "visible" && document.hasFocus() && currentLog.peek() === log;
}

onLogin((made: Client, who) => {
  const seen = new Map<string, number>();
  const note = (row: InboxRow) => seen.set(row.log, Math.max(seen.get(row.log) ?? 0, row.last?.seq ?? 0));
  for (const row of rows.peek().values()) note(row);
  let settled = made.status.synced; // what the first sync brings is no news
  const off = [
    made.on("status", (now) => (settled ||= now.synced)),
    made.on("rows", (changed) => {
      for (const row of changed) {
        const news = settled && isNews(row, seen.get(row.log) ?? 0, who.user);
        note(row);
        if (!news || !notifyChoice.value.on || permission.value !== "granted") continue;
        if (made.status.leader && !watched(row.log)) notify(row);
      }
    }),
  ];
  return () => {
    for (const each of off) each();
  };
});
