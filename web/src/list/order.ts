/** Which conversations the list shows, and in which order. Pure. */

import { rank } from "../find/matching";

/** What the list shows of the conversations. */
export type Filter = "all" | "unread" | "groups" | "archived";

export const FILTERS: readonly Filter[] = ["all", "unread", "groups", "archived"];

/** The caller's own settings of a conversation, as far as the list knows them. */
export interface OwnSettings {
  mute?: boolean;
  pinned?: boolean;
  archived?: boolean;
  draft?: string;
  remark?: string;
  nickname?: string;
}

/** What the order needs of an inbox row. */
export interface Listed {
  log: string;
  useq: number;
  head: number;
  role: number;
  unread: number;
  mentions: number;
  marked?: boolean;
  cleared?: number;
  settings?: unknown;
  last?: { at: number; seq: number } | null;
}

/** The settings of a row; {} where it has none. */
export function settingsOf(row: { settings?: unknown }): OwnSettings {
  const given = row.settings;
  return typeof given === "object" && given !== null ? (given as OwnSettings) : {};
}

/** Code of the kind in a log's id: `d` direct, `g` group, `u` a user's own log. */
export function kindCode(log: string): string {
  return log.split("/")[1] ?? "";
}

/** Whether a row asks to be looked at. */
export function waits(row: Listed): boolean {
  return row.unread > 0 || row.mentions > 0 || row.marked === true;
}

/** A conversation one left and cleared is gone from the list; what comes later brings it back. */
function gone(row: Listed): boolean {
  return row.role === 0 && (row.cleared ?? 0) >= row.head;
}

/** Whether a filter lets a row through; `all` and `groups` leave archived ones out. */
export function passes(row: Listed, filter: Filter): boolean {
  const kind = kindCode(row.log);
  if ((kind !== "d" && kind !== "g") || gone(row)) return false;
  const archived = settingsOf(row).archived === true;
  if (filter === "archived") return archived;
  if (filter === "unread") return waits(row) && (!archived || row.mentions > 0);
  if (archived) return false;
  return filter === "all" || kind === "g";
}

/** Pinned ones first, then the newest message; conversations without one by their last change. */
function before<R extends Listed>(a: R, b: R): number {
  const pinned = Number(settingsOf(b).pinned ?? false) - Number(settingsOf(a).pinned ?? false);
  return pinned || (b.last?.at ?? 0) - (a.last?.at ?? 0) || b.useq - a.useq;
}

/**
 * The rows a list shows. With `query`, of all rows (archived ones too) those whose title answers
 * it, best first.
 */
export function listed<R extends Listed>(
  rows: Iterable<R>,
  filter: Filter,
  query: string,
  titleOf: (row: R) => string,
): R[] {
  const wanted = query.trim();
  const out: R[] = [];
  if (!wanted) {
    for (const row of rows) if (passes(row, filter)) out.push(row);
    return out.sort(before);
  }
  const scored: [number, R][] = [];
  for (const row of rows) {
    if (!passes(row, "all") && !passes(row, "archived")) continue;
    const score = rank(titleOf(row), wanted);
    if (score > 0) scored.push([score, row]);
  }
  return scored.sort((a, b) => b[0] - a[0] || before(a[1], b[1])).map(([, row]) => row);
}

/** How many rows wait, by filter; muted ones count only for `archived` and `groups`' own view. */
export function waiting(rows: Iterable<Listed>, filter: Filter): number {
  let n = 0;
  for (const row of rows) if (passes(row, filter) && waits(row)) n++;
  return n;
}
