/** What a moderator can do with a message and its author. */

import { reasonOf } from "../session/index.js";
import { confirm, type MenuItem, toast } from "../ui/index.js";
import { overWindow } from "./layers.js";
import type { Said } from "./lines.js";
import { calledIn } from "./names.js";
import type { Room } from "./room.js";
import { words } from "./words.js";

const KICK = 300; // seconds: long enough to notice
const MINUTE = 60;
const DAY = 86_400;

/** Do it, and say so or why not. */
export async function attempt(work: Promise<unknown>, done = words().done): Promise<boolean> {
  try {
    await work;
    if (done) toast(done, { kind: "good" });
    return true;
  } catch (error) {
    toast(reasonOf(error), { kind: "bad" });
    return false;
  }
}

export function itemsFor(room: Room, line: Said): (MenuItem | "-")[] {
  const w = words();
  const { from: user } = line;
  const { muted = {}, shadowed = [] } = room.state.peek();
  const items: (MenuItem | "-")[] = [];
  if (line.off) {
    const { off } = line;
    items.push({ label: w.delete, icon: "trash", run: () => void attempt(room.order("room.delete", { off }), "") });
  }
  items.push({ label: w.pinThis, icon: "pin", run: () => void attempt(room.order("room.pin", { text: line.text }), "") });
  if (user === room.me || user === room.host.peek()) return items;
  const mute = (seconds: number) => () => void attempt(room.order("room.mute", { user, seconds }));
  items.push("-");
  if ((muted[user] ?? 0) > Date.now()) items.push({ label: w.unmute, icon: "bell", run: mute(0) });
  else {
    items.push({ label: w.mute1, icon: "bellOff", run: mute(MINUTE) });
    items.push({ label: w.mute10, icon: "bellOff", run: mute(10 * MINUTE) });
    items.push({ label: w.muteDay, icon: "bellOff", run: mute(DAY) });
  }
  const hidden = shadowed.includes(user);
  items.push({
    label: hidden ? w.unshadow : w.shadow,
    icon: "eye",
    run: () => void attempt(room.shadow(user, !hidden)),
  });
  items.push("-", { label: w.kick, icon: "logout", run: () => void attempt(room.order("room.ban", { user, seconds: KICK })) });
  items.push({ label: w.ban, icon: "block", danger: true, run: () => void ban(room, user) });
  return items;
}

async function ban(room: Room, user: string): Promise<void> {
  const w = words();
  const answer = confirm({ title: w.banSure(calledIn(user)), text: w.banText, yes: w.ban, danger: true });
  overWindow();
  const sure = await answer;
  if (sure) await attempt(room.order("room.ban", { user }));
}
