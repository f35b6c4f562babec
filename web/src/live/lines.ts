/** The list beside the stage: the newest lines, and what became of them. Pure. */

import type { Entry } from "@hongyan/sdk";
import type { LiveItem } from "@hongyan/sdk/live";
import type { Given } from "./gifts.js";

export const KEPT = 120;

export interface Said {
  kind: "said";
  /** Unique among the lines. */
  id: string;
  off: number;
  from: string;
  op: string;
  text: string;
  color: string;
  position: "scroll" | "top" | "bottom";
  mediaMs: number;
  at: number;
  /** Waits for a moderator. */
  held: boolean;
}

export type Line =
  | Said
  | { kind: "gift"; id: string; from: string; given: Given; at: number }
  | { kind: "notice"; id: string; from: string; text: string; at: number }
  | { kind: "order"; id: string; from: string; act: string; user: string; until: number; on: boolean; at: number }
  | { kind: "came"; id: string; from: string; at: number };

interface Danmaku {
  text: string;
  color?: string;
  position?: Said["position"];
  media_ms?: number;
  held?: boolean;
  by?: string;
}

/** What an item says in the list; undefined = nothing. `n` makes items without offset unique. */
export function lineOf(item: LiveItem, n: number): Line | undefined {
  const { off, type, from, op, at } = item;
  const id = off ? `i${off}` : `o${op}-${n}`;
  if (type === "came") return { kind: "came", id, from, at };
  if (type !== "danmaku") return undefined;
  const { text, color = "", position = "scroll", media_ms = -1, held = false, by } = item.body as unknown as Danmaku;
  return { kind: "said", id, off, from: by ?? from, op, text, color, position, mediaMs: media_ms, at, held };
}

/** What a durable entry says in the list. */
export function lineOfEntry({ seq, type, from, at, body }: Entry): Line | undefined {
  const id = `e${seq}`;
  if (type === "gift") return { kind: "gift", id, from, given: body as unknown as Given, at };
  if (type === "announcement") return { kind: "notice", id, from, text: (body as { text: string }).text, at };
  if (type !== "order") return undefined;
  const { act, user, until = 0, on = true } = body as { act: string; user: string; until?: number; on?: boolean };
  return { kind: "order", id, from, act, user, until, on, at };
}

/** The lines with these at the end; one line tells of all who came in a row, or of a combo. */
export function appended(lines: readonly Line[], more: readonly Line[]): readonly Line[] {
  const all = [...lines];
  for (const line of more) {
    const last = all.at(-1);
    if (line.kind === "came" && last?.kind === "came") all.pop();
    if (line.kind === "gift" && last?.kind === "gift" && isCombo(last, line)) {
      const { count, value = 0 } = last.given;
      const given = { ...line.given, count: count + line.given.count, value: value + (line.given.value ?? 0) };
      all[all.length - 1] = { ...line, given };
    } else {
      all.push(line);
    }
  }
  return all.length > KEPT ? all.slice(-KEPT) : all;
}

type GiftLine = Line & { kind: "gift" };

function isCombo(one: GiftLine, two: GiftLine): boolean {
  const { gift, combo } = two.given;
  return one.from === two.from && one.given.gift === gift && Boolean(combo) && one.given.combo === combo;
}

/** The offset that a moderator took back; 0 where the item says something else. */
export function deletedBy({ type, body }: LiveItem): number {
  return type === "deleted" ? Number((body as { off?: number }).off) || 0 : 0;
}

/** Whether an approved message is the one that waited. */
export function answers(held: Said, line: Said): boolean {
  return !line.held && held.from === line.from && held.text === line.text;
}
