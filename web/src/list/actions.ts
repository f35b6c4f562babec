/** What may be done with a conversation from the list and its details. */

import type { InboxRow, Json } from "@hongyan/sdk";
import { tried } from "../login/tried.js";
import {
  client, closeChat, currentLog, isGroup, openChat, OWNER, panel, type RowSettings, settingsOf, titleOf,
} from "../session/index.js";
import { askLine, confirm, dictionary, type MenuItem, toast } from "../ui/index.js";
import { isOver, waits } from "./order.js";
import { words as listWords } from "./words.js";

const words = dictionary(
  {
    clearTitle: "Clear the history?",
    clearText: (title: string) => `All messages of “${title}” go away for you, on all your devices. Others keep them.`,
    clear: "Clear",
    leaveTitle: "Leave the group?",
    leaveText: (title: string) => `You get no more messages of “${title}”. What was said until now stays readable.`,
    leave: "Leave",
    ownerFirst: "Hand the group over to somebody else first, or dissolve it.",
    remark: "Name that only you see",
    rename: "Rename for me",
    save: "Save",
    removeTitle: "Remove from the list?",
    removeText: "The history goes away for you, on all your devices.",
    remove: "Remove",
    cleared: "History cleared",
  },
  {
    clearTitle: "清空聊天记录？",
    clearText: (title: string) => `“${title}”的全部消息将从你的所有设备上清除，其他成员不受影响。`,
    clear: "清空",
    leaveTitle: "退出群聊？",
    leaveText: (title: string) => `你将不再收到“${title}”的消息，此前的内容仍可查看。`,
    leave: "退出",
    ownerFirst: "请先转让群主，或解散群聊。",
    remark: "备注（仅自己可见）",
    rename: "设置备注",
    save: "保存",
    removeTitle: "从列表移除？",
    removeText: "聊天记录将从你的所有设备上清除。",
    remove: "移除",
    cleared: "聊天记录已清空",
  },
);

/** Make a call for this conversation; says why when it is refused. */
export function call(name: string, args: Json, log: string): Promise<boolean> {
  return tried(client().call(name, args, { log }));
}

/** Change own settings of a conversation; null takes one away. */
export function setOwn(
  log: string,
  change: { [K in keyof RowSettings]: RowSettings[K] | null },
): Promise<boolean> {
  return call("chat.settings", change as Json, log);
}

/** Show as read, or as unread, whatever it is not. */
export async function toggleRead(row: InboxRow): Promise<void> {
  if (!waits(row)) return void (await call("chat.mark_unread", { on: true }, row.log));
  if (row.unread > 0 || row.mentions > 0) await tried(client().markRead(row.log));
  if (row.marked) await call("chat.mark_unread", { on: false }, row.log);
}

/** Ask for the own name of a conversation, and set it. */
export async function askRemark(row: InboxRow): Promise<void> {
  const given = await askLine({
    title: words().rename,
    label: words().remark,
    value: settingsOf(row).remark ?? "",
    yes: words().save,
    maxLength: 200,
  });
  if (given !== null) await setOwn(row.log, { remark: given.trim() || null });
}

/** Hide all that was said until now, after asking. */
export async function askClear(row: InboxRow): Promise<void> {
  const sure = await confirm({
    title: words().clearTitle,
    text: words().clearText(titleOf(row)),
    yes: words().clear,
    danger: true,
  });
  if (sure && (await call("chat.clear", {}, row.log))) toast(words().cleared, { kind: "good" });
}

/** Leave a group, after asking; its owner is told what has to be done first. */
export async function askLeave(row: InboxRow): Promise<void> {
  if (row.role === OWNER && row.count > 1) {
    toast(words().ownerFirst, { kind: "bad" });
    return;
  }
  const sure = await confirm({
    title: words().leaveTitle,
    text: words().leaveText(titleOf(row)),
    yes: words().leave,
    danger: true,
  });
  if (sure) await call("chat.leave", {}, row.log);
}

/** Take a conversation that is over out of the list, after asking. */
export async function askRemove(row: InboxRow): Promise<void> {
  const sure = await confirm({
    title: words().removeTitle,
    text: words().removeText,
    yes: words().remove,
    danger: true,
  });
  if (sure && (await call("chat.clear", {}, row.log)) && currentLog.peek() === row.log) closeChat();
}

/** The items of a conversation's menu. */
export function menuOf(row: InboxRow): (MenuItem | "-")[] {
  const w = listWords();
  const own = settingsOf(row);
  const items: (MenuItem | "-")[] = [
    {
      label: waits(row) ? w.markRead : w.markUnread,
      icon: waits(row) ? "check" : "unread",
      run: () => void toggleRead(row),
    },
    {
      label: own.pinned ? w.unpin : w.pin,
      icon: own.pinned ? "unpin" : "pin",
      run: () => void setOwn(row.log, { pinned: own.pinned ? null : true }),
    },
    {
      label: own.mute ? w.unmute : w.mute,
      icon: own.mute ? "bell" : "bellOff",
      run: () => void setOwn(row.log, { mute: own.mute ? null : true }),
    },
    {
      label: own.archived ? w.unarchive : w.archive,
      icon: "archive",
      run: () => void setOwn(row.log, { archived: own.archived ? null : true }),
    },
    "-",
    { label: w.remark, icon: "edit", run: () => void askRemark(row) },
    {
      label: w.details,
      icon: "info",
      run: () => {
        openChat(row.log);
        panel.value = "details";
      },
    },
    "-",
    { label: w.clearChat, icon: "trash", danger: true, run: () => void askClear(row) },
  ];
  if (isOver(row)) items.push({ label: w.remove, icon: "close", danger: true, run: () => void askRemove(row) });
  else if (isGroup(row.log)) {
    items.push({ label: w.leave, icon: "logout", danger: true, run: () => void askLeave(row) });
  }
  return items;
}
