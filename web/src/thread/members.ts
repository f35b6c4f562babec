/** Members of a group for mentions: asked for once per group and visit. */

import { signal, type Signal } from "@preact/signals";
import { client, isGroup, learn, me, nameOf, onLogin, personOf } from "../session/index.js";
import type { Mentionable } from "./mentions.js";

interface MemberRow {
  user: string;
  role: number;
  nickname?: string;
}

const MOST = 1000; // of a larger group the first ones can be completed, everybody can be typed
const known = new Map<string, Signal<readonly Mentionable[]>>();

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
    cell.value = members
      .filter((m) => m.user !== me.peek()?.user)
      .map((m) => ({ user: m.user, name: m.nickname || personOf(m.user).peek().name || m.user }));
  } catch {
    known.delete(log); // offline: asked again with the next "@"
  }
}

/** Somebody came or went: ask again. */
export function forgetMembers(log: string): void {
  known.delete(log);
}

/** How a mention is written: the name, or the id where the name has spaces. */
export function handleOf(m: Mentionable): string {
  return m.user ? m.name || nameOf(m.user) : m.name;
}

onLogin(() => () => known.clear());
