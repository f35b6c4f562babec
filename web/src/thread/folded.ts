/** What reactions, pins and cursors make of a message. Pure. */

import type { Shown } from "@hongyan/sdk";

export interface Reaction {
  emoji: string;
  users: string[];
  mine: boolean;
}

/** The reactions of a message that are on, in the order in which each emoji came first. */
export function reactionsOf(shown: Shown, self: string): Reaction[] {
  const found = new Map<string, Reaction & { seq: number }>();
  for (const [slot, entry] of shown.slots) {
    if (!slot.startsWith("react:")) continue;
    const { emoji, on = true } = (entry.body ?? {}) as { emoji?: string; on?: boolean };
    if (!emoji || !on) continue;
    const one = found.get(emoji) ?? { emoji, users: [], mine: false, seq: entry.seq };
    one.users.push(entry.from);
    one.mine ||= entry.from === self;
    one.seq = Math.min(one.seq, entry.seq);
    found.set(emoji, one);
  }
  return [...found.values()]
    .sort((a, b) => a.seq - b.seq)
    .map(({ emoji, users, mine }) => ({ emoji, users, mine }));
}

/** How far a stored message of one's own has come: with others. */
export type Reach = "stored" | "delivered" | "read";

export interface Cursors {
  read: number;
  delivered: number;
}

export function reachOf(seq: number, others: Cursors): Reach {
  if (seq <= others.read) return "read";
  return seq <= others.delivered ? "delivered" : "stored";
}

/** Who wrote after a message has seen it: the cursors that the entries themselves tell. */
export function cursorsByEntries(shown: readonly Shown[], self: string): Cursors {
  for (let n = shown.length - 1; n >= 0; n -= 1) {
    const entry = shown[n]?.entry;
    if (entry && entry.from !== self && entry.type === "message") {
      return { read: entry.seq, delivered: entry.seq };
    }
  }
  return { read: 0, delivered: 0 };
}
