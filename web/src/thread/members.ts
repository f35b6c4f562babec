/** Members of a group, for mentions and nicknames: asked for once per group and visit. */

import { signal, type Signal } from "@preact/signals";
import { client, isGroup, learn, me, nameOf, onLogin, personOf, rows } from "../session/index.js";
import type { Mentionable } from "./mentions.js";

interface MemberRow {
  user: string;
  role: number;
  nickname?: string;
}

const MOST = 1000; // of a larger group the first ones can be completed, everybody can be typed
const SMALL = 300; // members up to which nicknames are shown beside messages
const known = new Map<string, Signal<readonly Mentionable[]>>();
const nicknames = new Map<string, string>(); // by log and user

/** Those who can be mentioned here, without oneself. Empty until they are there. */
export function mentionables(log: string): readonly Mentionable[] {
  let cell = known.get(log);
  if (!cell) {
    known.set(log, (cell = signal([])));
    if (isGroup(log)) void load(log, cell);
  }
  return cell.value;
}

async function load(log: string, cell: Signal<readonly Mentionable[]>): Promise<void> {
  try {
    const { members } = await client().query<{ members: MemberRow[] }>("members", { limit: MOST }, log);
    for (let n = 0; n < members.length; n += 200) {
      const ids = members.slice(n, n + 200).map((m) => m.user);
      const { users } = await client().query<{ users: { user: string; name: string; avatar: string }[] }>("users", { ids });
      for (const person of users) learn(person);
    }
    for (const m of members) nicknames.set(`${log} ${m.user}`, m.nickname ?? "");
    cell.value = members
      .filter((m) => m.user !== me.peek()?.user)
      .map((m) => ({ user: m.user, name: m.nickname || personOf(m.user).peek().name || m.user }));
  } catch {
    if (cell.peek().length === 0) known.delete(log); // offline: asked again with the next "@"
  }
}

/** Somebody came, went or changed the nickname: ask again. */
export function forgetMembers(log: string): void {
  const cell = known.get(log);
  if (cell) void load(log, cell);
}

/** How a person is called in a conversation: the nickname there, else the name. */
export function nameIn(log: string, user: string): string {
  if (isGroup(log) && (rows.peek().get(log)?.count ?? 0) <= SMALL) mentionables(log);
  return nicknames.get(`${log} ${user}`) || nameOf(user);
}

onLogin(() => () => {
  known.clear();
  nicknames.clear();
});
