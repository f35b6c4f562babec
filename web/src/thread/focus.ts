/** What the person is doing in the thread on the screen: one at a time. */

import { signal } from "@preact/signals";
import type { MessageItem } from "./items.js";

/** What the composer is about, beside a new message. */
export type Task =
  | { kind: "reply"; seq: number; author: string; line: string; quote: string }
  | { kind: "edit"; seq: number; text: string; mentions: string[] }
  | null;

export const task = signal<Task>(null);
/** Seqs that are selected; null while nothing is being selected. */
export const selection = signal<ReadonlySet<number> | null>(null);
/** Messages that are about to be forwarded. */
export const forwarding = signal<readonly { log: string; seq: number }[] | null>(null);
/** The message whose receipts are shown. */
export const inspected = signal<MessageItem | null>(null);
/** Seq whose message is lit for a moment, after a jump. */
export const lit = signal(0);
/** Raised to put the caret into the composer. */
export const composeNow = signal(0);
/** What the composer of the thread on the screen can be told; nothing while there is none. */
export const composer: {
  /** Put this text in place of what is there. */
  replace: (text: string) => void;
  /** Name a person where the caret is. */
  mention: (user: string, name: string) => void;
} = { replace: () => {}, mention: () => {} };
/** Text that a recalled message had, to be edited again; kept for this visit only. */
export const recalledTexts = new Map<string, string>();

export function toggleSelected(seq: number): void {
  const next = new Set(selection.value ?? []);
  if (!next.delete(seq)) next.add(seq);
  selection.value = next.size ? next : null;
}

/** A thread was left: nothing of it goes on. */
export function resetFocus(): void {
  task.value = null;
  selection.value = null;
  forwarding.value = null;
  inspected.value = null;
  lit.value = 0;
}
