/** Questions about a row of the conversation list. Pure, but for the names of people. */

import type { InboxRow } from "@hongyan/sdk";

/** The person's own settings of a conversation. */
export interface RowSettings {
  mute?: boolean;
  pinned?: boolean;
  archived?: boolean;
  draft?: string;
  remark?: string;
  nickname?: string;
}

/** What a row shows of the state of its conversation; all of it is missing in a direct one but pins. */
export interface RowState {
  owner?: string;
  title?: string;
  avatar?: string;
  notice?: string;
  join_mode?: "invite" | "link" | "approve" | "open";
  members_invite?: boolean;
  history_visible?: boolean;
  max_members?: number;
  mute_all?: boolean;
  link?: string;
  pins?: number[];
  pending?: Record<string, number>;
  dissolved_at?: number;
}

export const NONE = 0;
export const MEMBER = 1;
export const ADMIN = 2;
export const OWNER = 3;

export function settingsOf(row: InboxRow): RowSettings {
  return row.settings as RowSettings;
}

export function stateOf(row: InboxRow): RowState {
  return row.state as RowState;
}

export function isDirect(log: string): boolean {
  return log.split("/")[1] === "d";
}

export function isGroup(log: string): boolean {
  return log.split("/")[1] === "g";
}

/** A conversation, and not a user's own log. */
export function isChat(log: string): boolean {
  return isDirect(log) || isGroup(log);
}

/** The other side of a direct conversation; oneself for notes; "" in a group. */
export function peerOf(log: string, self: string): string {
  if (!isDirect(log)) return "";
  const [one = "", two = one] = (log.split("/")[2] ?? "").split("~");
  return one === self ? two : one;
}

/** ms of what happened last; 0 for a conversation in which nobody said anything. */
export function activityOf(row: InboxRow): number {
  return row.last?.at ?? 0;
}

/** Pinned ones first, then by the newest message, then by when they came. Without archived ones. */
export function byActivity(rows: Iterable<InboxRow>, archived = false): InboxRow[] {
  return [...rows]
    .filter((row) => isChat(row.log) && Boolean(settingsOf(row).archived) === archived)
    .sort(
      (a, b) =>
        Number(Boolean(settingsOf(b).pinned)) - Number(Boolean(settingsOf(a).pinned)) ||
        activityOf(b) - activityOf(a) ||
        b.useq - a.useq,
    );
}
