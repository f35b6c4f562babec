/** From entries and unsent calls to the rows of a thread: days, groups of a sender, notes. Pure. */

import type { Entry, PendingCall, Shown } from "@hongyan/sdk";
import type { Content, MessageBody } from "../session/summary.js";

/** How far an own message is. */
export type Sending = "uploading" | "queued" | "sent" | "failed";

export interface MessageItem {
  kind: "message";
  key: string;
  seq: number;
  from: string;
  at: number;
  own: boolean;
  /** First and last of a run of one sender's messages: where name, picture and tail are. */
  first: boolean;
  last: boolean;
  shown: Shown;
  body: MessageBody;
  recalled: boolean;
  edited: boolean;
}

/** A call that is not an entry yet. */
export interface PendingItem {
  kind: "pending";
  key: string;
  op: string;
  at: number;
  first: boolean;
  last: boolean;
  sending: Sending;
  error: string;
  body: MessageBody;
  /** Id of the upload that comes before the call; "" when there is none. */
  upload: string;
}

export type Item =
  | { kind: "day"; key: string; day: number }
  | { kind: "unread"; key: string }
  | { kind: "note"; key: string; entry: Entry; own: boolean }
  | MessageItem
  | PendingItem;

export interface Given {
  shown: readonly Shown[];
  pending: readonly PendingItem[];
  self: string;
  device: string;
  /** Countable entries of others with an `ord` above this are unread; null draws no line. */
  unreadAfter: number | null;
  /** Midnight before a time, local. */
  dayOf: (at: number) => number;
}

const RUN = 5 * 60_000; // ms: a pause that ends a run of one sender
const NOTES = new Set([
  "created", "joined", "left", "role", "muted", "changed", "dissolved", "nickname",
]);

/** Whether the thread shows an entry of this type as a small line in the middle. */
export function isNote(type: string): boolean {
  return NOTES.has(type);
}

export function bodyOf(shown: Shown): MessageBody {
  return (shown.body ?? {}) as MessageBody;
}

/** A stable key: the echo of an own call becomes the entry without being drawn anew. */
function keyOf(entry: Entry, device: string, taken: Set<string>): string {
  const byOp = `o:${entry.op}`;
  if (entry.op && entry.device === device && !taken.has(byOp)) {
    taken.add(byOp);
    return byOp;
  }
  return `s:${entry.seq}`;
}

function messageOf(shown: Shown, given: Given, taken: Set<string>): MessageItem {
  const { entry } = shown;
  const body = bodyOf(shown);
  return {
    kind: "message",
    key: keyOf(entry, given.device, taken),
    seq: entry.seq,
    from: entry.from,
    at: entry.at,
    own: entry.from === given.self,
    first: true,
    last: true,
    shown,
    body,
    recalled: shown.recalled || !body.content,
    edited: shown.edited,
  };
}

const senderOf = (item: Item, self: string) =>
  item.kind === "message" ? item.from : item.kind === "pending" ? self : "";

/** Let neighbours of one sender form a run. */
function joinRuns(items: Item[], self: string): void {
  for (let n = 1; n < items.length; n += 1) {
    const a = items[n - 1];
    const b = items[n];
    if (!a || !b || !("first" in a) || !("first" in b)) continue;
    const near = b.at - a.at < RUN && senderOf(a, self) === senderOf(b, self);
    const gone = (a.kind === "message" && a.recalled) || (b.kind === "message" && b.recalled);
    if (near && !gone) a.last = b.first = false;
  }
}

/** A day's line. A clock that went back brings a day twice: each has a key of its own. */
function dayItem(day: number, taken: Set<string>): Item {
  let key = `d:${day}`;
  while (taken.has(key)) key += "'";
  taken.add(key);
  return { kind: "day", key, day };
}

/** The rows of a thread, oldest first. No two have the same key. */
export function itemsOf(given: Given): Item[] {
  const items: Item[] = [];
  const taken = new Set<string>();
  let day = -1;
  let lined = given.unreadAfter === null;
  for (const shown of given.shown) {
    const { entry } = shown;
    const note = isNote(entry.type);
    if (shown.hidden || (entry.type !== "message" && !note)) continue;
    const itsDay = given.dayOf(entry.at);
    if (itsDay !== day) {
      day = itsDay;
      items.push(dayItem(day, taken));
    }
    if (!lined && entry.count && entry.from !== given.self && entry.ord > (given.unreadAfter ?? 0)) {
      lined = true;
      items.push({ kind: "unread", key: "unread" });
    }
    if (note) items.push({ kind: "note", key: `s:${entry.seq}`, entry, own: entry.from === given.self });
    else items.push(messageOf(shown, given, taken));
  }
  for (const pending of given.pending) {
    if (taken.has(pending.key)) continue; // its entry is there already
    taken.add(pending.key);
    const itsDay = given.dayOf(pending.at);
    if (itsDay > day) {
      day = itsDay;
      items.push(dayItem(day, taken));
    }
    items.push({ ...pending });
  }
  joinRuns(items, given.self);
  return items;
}

interface SendArgs {
  content?: Content;
  reply_to?: number | null;
  quote?: string;
  mentions?: string[];
  mention_all?: boolean;
  sources?: { log: string; seq: number }[];
}

/** The echo of a call of this log; null for calls that are no message. */
export function echoOf(
  call: PendingCall,
  authorOf: (seq: number) => string,
  forwarded: (sources: readonly { log: string; seq: number }[]) => string,
  reason: (code: number, text: string) => string = (_, text) => text,
): PendingItem | null {
  if (call.name !== "chat.send" && call.name !== "chat.forward") return null;
  const args = call.args as SendArgs;
  const body: MessageBody = {};
  if (args.content) body.content = args.content;
  else body.content = { type: "text", text: forwarded(args.sources ?? []) };
  if (args.reply_to) {
    body.reply = { seq: args.reply_to, author: authorOf(args.reply_to), quote: args.quote ?? "" };
  }
  if (args.mentions) body.mentions = args.mentions;
  return {
    kind: "pending",
    key: `o:${call.op}`,
    op: call.op,
    at: call.at,
    first: true,
    last: true,
    sending: call.state,
    error: call.error ? reason(call.error.code, call.error.text) : "",
    body,
    upload: "",
  };
}
