/** What can be done with a message, and the menu that offers it. */

import { ADMIN, client, contentLine, isGroup, me, nameOf, openChat, OWNER, reasonOf, rows, stateOf } from "../session/index.js";
import { confirm, type MenuItem, openMenu, toast } from "../ui/index.js";
import { composeNow, composer, forwarding, inspected, recalledTexts, selection, task, toggleSelected } from "./focus.js";
import type { MessageItem } from "./items.js";
import { quickReactions } from "./quick.js";
import { words } from "./words.js";

// The server decides; these are its defaults, so that the menu offers what will be granted.
const RECALL_MS = 2 * 60_000;
const EDIT_MS = 24 * 3_600_000;

/** Show why a call was refused. What fails for lack of a network stays in the outbox instead. */
export function tell(error: unknown): void {
  toast(words().failedCall(reasonOf(error)), { kind: "bad" });
}

export function call(log: string, name: string, args: Record<string, unknown>): void {
  client().call(name, args as never, { log }).catch(tell);
}

function roleIn(log: string): number {
  return rows.peek().get(log)?.role ?? 0;
}

function mayTalk(log: string): boolean {
  const row = rows.peek().get(log);
  return Boolean(row?.role) && !stateOf(row!).dissolved_at;
}

export function mayEdit(item: MessageItem, log: string): boolean {
  return (
    item.own && !item.recalled && !item.body.forward && item.body.content?.type === "text" &&
    mayTalk(log) && Date.now() - item.at < EDIT_MS
  );
}

function mayRecall(item: MessageItem, log: string): boolean {
  if (item.recalled || !mayTalk(log)) return false;
  if (item.own && Date.now() - item.at < RECALL_MS) return true;
  if (!isGroup(log)) return false;
  const ofOwner = stateOf(rows.peek().get(log)!).owner === item.from;
  return roleIn(log) >= (ofOwner ? OWNER : ADMIN);
}

function mayPin(log: string): boolean {
  return mayTalk(log) && (!isGroup(log) || roleIn(log) >= ADMIN);
}

export function isPinned(log: string, seq: number): boolean {
  const row = rows.value.get(log);
  return Boolean(row && stateOf(row).pins?.includes(seq));
}

export function reply(item: MessageItem, quote = ""): void {
  task.value = {
    kind: "reply", seq: item.seq, author: item.from, line: contentLine(item.body.content), quote,
  };
  composeNow.value += 1;
}

export function edit(item: MessageItem): void {
  const { content, mentions = [] } = item.body;
  if (content?.type !== "text") return;
  task.value = { kind: "edit", seq: item.seq, text: content.text, mentions };
  composeNow.value += 1;
}

export function react(log: string, item: MessageItem, emoji: string, on: boolean): void {
  call(log, "chat.react", { seq: item.seq, emoji, on });
}

async function recall(log: string, item: MessageItem): Promise<void> {
  const w = words();
  const sure = await confirm({ title: w.recallSure, text: w.recallText, yes: w.recall, danger: true });
  if (!sure) return;
  const { content } = item.body;
  if (item.own && content?.type === "text") recalledTexts.set(`${log}:${item.seq}`, content.text);
  call(log, "chat.recall", { seq: item.seq });
}

export async function removeForMe(log: string, seqs: readonly number[]): Promise<void> {
  const w = words();
  const sure = await confirm({
    title: w.removeSure(seqs.length), text: w.removeText, yes: w.removeYes, danger: true,
  });
  if (!sure) return;
  selection.value = null;
  for (let n = 0; n < seqs.length; n += 100) call(log, "chat.delete", { seqs: seqs.slice(n, n + 100) });
}

export function copyText(text: string): void {
  navigator.clipboard.writeText(text).then(
    () => toast(words().copied, { kind: "good" }),
    (error: unknown) => tell(error),
  );
}

/** What the person has marked of this message with the mouse; "" for nothing. */
function marked(item: MessageItem): string {
  const picked = getSelection();
  const text = picked?.toString().trim() ?? "";
  const from = picked?.anchorNode?.parentElement?.closest("[data-seq]");
  const whole = item.body.content?.type === "text" ? item.body.content.text : contentLine(item.body.content);
  return from?.getAttribute("data-seq") === String(item.seq) && whole.includes(text) ? text.slice(0, 500) : "";
}

function wordsOf(item: MessageItem): string {
  const c = item.body.content;
  if (c?.type === "text") return c.text;
  return c && "caption" in c ? (c.caption ?? "") : "";
}

/** The entries of the menu. */
export function itemsFor(log: string, item: MessageItem, href = ""): (MenuItem | "-")[] {
  const w = words();
  const quote = marked(item);
  const text = quote || wordsOf(item);
  const found: (MenuItem | "-" | false | "")[] = [];
  if (item.recalled) {
    return [{ label: w.remove, icon: "trash", run: () => void removeForMe(log, [item.seq]) }];
  }
  const talk = mayTalk(log);
  const pinned = isPinned(log, item.seq);
  found.push(
    talk && { label: w.reply, icon: "reply", run: () => reply(item) },
    talk && quote && { label: w.quote, icon: "quote", run: () => reply(item, quote) },
    mayEdit(item, log) && { label: w.edit, icon: "edit", run: () => edit(item) },
    text && { label: w.copy, icon: "copy", run: () => copyText(text) },
    href && { label: w.copyLink, icon: "link", run: () => copyText(href) },
    { label: w.forward, icon: "forward", run: () => (forwarding.value = [{ log, seq: item.seq }]) },
    mayPin(log) && {
      label: pinned ? w.unpin : w.pin, icon: pinned ? "unpin" : "pin",
      run: () => call(log, "chat.pin", { seq: item.seq, on: !pinned }),
    },
    { label: w.select, icon: "select", run: () => toggleSelected(item.seq) },
    item.own && { label: w.info, icon: "info", run: () => (inspected.value = item) },
    "-",
    mayRecall(item, log) && { label: w.recall, icon: "undo", danger: true, run: () => void recall(log, item) },
    { label: w.remove, icon: "trash", danger: true, run: () => void removeForMe(log, [item.seq]) },
  );
  return found.filter((i) => i !== false && i !== "");
}

/** What one may do with the author of a message in a group. */
export function personMenu(log: string, user: string, at: Element): void {
  const w = words();
  const name = nameOf(user);
  const start = async () => {
    try {
      const ack = await client().call("chat.open", { user });
      openChat(ack.log);
    } catch (error) {
      tell(error);
    }
  };
  openMenu({
    at,
    label: name,
    items: [
      { label: w.message(name), icon: "compose", run: () => void start() },
      { label: w.mention, icon: "at", disabled: !mayTalk(log), run: () => composer.mention(user, name) },
    ],
  });
}

/** Open the menu of a message at an element or point. */
export function messageMenu(
  log: string,
  item: MessageItem,
  at: Element | { x: number; y: number },
  href = "",
): void {
  const open = mayTalk(log) && !item.recalled;
  openMenu({
    at,
    items: itemsFor(log, item, href),
    label: words().messageMenu,
    ...(open ? { head: quickReactions(item, (emoji, on) => react(log, item, emoji, on), me.peek()?.user ?? "") } : {}),
  });
}
