/** The list beside the stage: the newest lines, and what became of them. Pure. */

import type { Entry } from "@hongyan/sdk";
import type { LiveItem } from "@hongyan/sdk/live";
import type { Given } from "./gifts.js";

export const KEPT = 120;
const COMBO_LINES = 20; // between two gifts of a combo that are one line

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
    if (line.kind === "came" && all.at(-1)?.kind === "came") all.pop();
    const at = line.kind === "gift" ? comboIn(all, line) : -1;
    if (at >= 0) {
      const last = all[at] as GiftLine;
      const given = added(last.given, (line as GiftLine).given);
      if (at === all.length - 1) all[at] = { ...line, given } as GiftLine;
      else all[at] = { ...last, given }; // stays where it is read
    } else {
      all.push(line);
    }
  }
  return all.length > KEPT ? all.slice(-KEPT) : all;
}

type GiftLine = Line & { kind: "gift" };

function added(one: Given, two: Given): Given {
  return { ...two, count: one.count + two.count, value: (one.value ?? 0) + (two.value ?? 0) };
}

/** Where among the newest lines the combo of a gift stands; -1 = nowhere. */
function comboIn(lines: readonly Line[], gift: GiftLine): number {
  for (let at = lines.length - 1; at >= Math.max(0, lines.length - COMBO_LINES); at -= 1) {
    const line = lines[at]!;
    if (line.kind === "gift" && isCombo(line, gift)) return at;
  }
  return -1;
}

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
