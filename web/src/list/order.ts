/** Which conversations the list shows, and in which order. Pure. */

import type { InboxRow } from "@hongyan/sdk";
import { rank } from "../find/matching.js";
import { activityOf, isChat, isGroup, settingsOf } from "../session/rows.js";

/** What the list shows of the conversations. */
export type Filter = "all" | "unread" | "groups" | "archived";

export const FILTERS: readonly Filter[] = ["all", "unread", "groups", "archived"];

/** Whether a row asks to be looked at. */
export function waits(row: InboxRow): boolean {
  return row.unread > 0 || row.mentions > 0 || row.marked;
}

/** A conversation one left and cleared is gone from the list; what comes later brings it back. */
function gone(row: InboxRow): boolean {
  return row.role === 0 && row.cleared >= row.head;
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

/** Pinned ones first, then the newest message; conversations without one by their last change. */
function before(a: InboxRow, b: InboxRow): number {
  const pinned = Number(settingsOf(b).pinned ?? false) - Number(settingsOf(a).pinned ?? false);
  return pinned || activityOf(b) - activityOf(a) || b.useq - a.useq;
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
  const wanted = query.trim();
  const out: InboxRow[] = [];
  if (!wanted) {
    for (const row of rows) if (passes(row, filter)) out.push(row);
    return out.sort(before);
  }
  const scored: [number, InboxRow][] = [];
  for (const row of rows) {
    if (!passes(row, "all") && !passes(row, "archived")) continue;
    const score = Math.max(...namesOf(row).map((name) => rank(name, wanted)));
    if (score > 0) scored.push([score, row]);
  }
  return scored.sort((a, b) => b[0] - a[0] || before(a[1], b[1])).map(([, row]) => row);
}

/** How many conversations that a filter shows ask to be looked at. */
export function waiting(rows: Iterable<InboxRow>, filter: Filter): number {
  let n = 0;
  for (const row of rows) if (passes(row, filter) && waits(row)) n++;
  return n;
}
