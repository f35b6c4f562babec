/** Which conversations the list shows, and in which order. Pure. */

import type { InboxRow } from "@hongyan/sdk";
import { rank } from "../find/matching.js";
import { activityOf, isChat, isGroup, settingsOf, stateOf } from "../session/rows.js";

/** What the list shows of the conversations. */
export type Filter = "all" | "unread" | "groups" | "archived";

export const FILTERS: readonly Filter[] = ["all", "unread", "groups", "archived"];

/** Whether a row asks to be looked at. */
export function waits(row: InboxRow): boolean {
  return row.unread > 0 || row.mentions > 0 || row.marked;
}

/** Whether nothing more can happen: one left, or the group was dissolved. */
export function isOver(row: InboxRow): boolean {
  return row.role === 0 || Boolean(stateOf(row).dissolved_at);
}

/** A conversation that is over and cleared is gone from the list. */
function gone(row: InboxRow): boolean {
  return isOver(row) && row.cleared >= row.head;
}

/** Whether a filter lets a row through; `all` and `groups` leave archived ones out. */
export function passes(row: InboxRow, filter: Filter): boolean {
  if (!isChat(row.log) || gone(row)) return false;
  const archived = settingsOf(row).archived === true;
  if (filter === "archived") return archived;
  if (filter === "unread") return waits(row) && (!archived || row.mentions > 0);
  if (archived) return false;
  return filter === "all" || isGroup(row.log);
}

/**
 * When something happened last in each, ms, by log. A conversation in which nobody said anything
 * has no time of its own: it counts from the newest message that was there before it changed.
 */
export function activities(rows: Iterable<InboxRow>): Map<string, number> {
  const known = new Map<string, number>();
  let newest = 0;
  for (const row of [...rows].sort((a, b) => a.useq - b.useq)) {
    newest = Math.max(newest, activityOf(row));
    known.set(row.log, activityOf(row) || newest);
  }
  return known;
}

/** Pinned ones first, then by what happened last. */
function byTime(times: ReadonlyMap<string, number>): (a: InboxRow, b: InboxRow) => number {
  const at = (row: InboxRow) => times.get(row.log) ?? 0;
  const pinned = (row: InboxRow) => Number(settingsOf(row).pinned ?? false);
  return (a, b) => pinned(b) - pinned(a) || at(b) - at(a) || b.useq - a.useq;
}

/**
 * The rows a list shows. With `query`, of all rows (archived ones too) those with a name that
 * answers it, best first.
 */
export function listed(
  rows: Iterable<InboxRow>,
  filter: Filter,
  query: string,
  namesOf: (row: InboxRow) => readonly string[],
): InboxRow[] {
  const all = [...rows];
  const before = byTime(activities(all));
  const wanted = query.trim();
  const out: InboxRow[] = [];
  if (!wanted) {
    for (const row of all) if (passes(row, filter)) out.push(row);
    return out.sort(before);
  }
  const scored: [number, InboxRow][] = [];
  for (const row of all) {
    if (!passes(row, "all") && !passes(row, "archived")) continue;
    const score = Math.max(...namesOf(row).map((name) => rank(name, wanted)));
    if (score > 1) scored.push([score, row]);
  }
  return scored.sort((a, b) => b[0] - a[0] || before(a[1], b[1])).map(([, row]) => row);
}

/** How many conversations that a filter shows ask to be looked at. */
export function waiting(rows: Iterable<InboxRow>, filter: Filter): number {
  let n = 0;
  for (const row of rows) if (passes(row, filter) && waits(row)) n++;
  return n;
}
