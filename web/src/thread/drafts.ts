/** What is written but not sent, per conversation: kept on the server, so other devices have it. */

import { client, onLogin, rows, settingsOf } from "../session/index.js";

const CALM = 1200; // ms without a key before it is saved
const LONGEST = 8000;
const BEHIND = 1500; // ms

const here = new Map<string, string>();
const timers = new Map<string, number>();

/** The draft of a conversation: what was typed here, else what another device left. */
export function draftOf(log: string): string {
  const typed = here.get(log);
  if (typed !== undefined) return typed;
  const row = rows.peek().get(log);
  return row ? (settingsOf(row).draft ?? "") : "";
}

function save(log: string): void {
  clearTimeout(timers.get(log));
  timers.delete(log);
  const row = rows.peek().get(log);
  const text = here.get(log);
  if (!row || text === undefined || (settingsOf(row).draft ?? "") === text) return;
  client()
    .call("chat.settings", { draft: text || null }, { log })
    .then(
      // From now on the row tells; it may be a moment behind the answer.
      () => setTimeout(() => here.get(log) === text && !timers.has(log) && here.delete(log), BEHIND),
      () => undefined, // the text is still here, and the next key tries again
    );
}

/** Take in what the composer holds; saved when the keys are calm, or `now`. */
export function setDraft(log: string, text: string, now = false): void {
  if (here.get(log) === text && !now) return;
  here.set(log, text.slice(0, LONGEST));
  clearTimeout(timers.get(log));
  if (now) save(log);
  else timers.set(log, window.setTimeout(() => save(log), CALM));
}

onLogin(() => () => {
  for (const timer of timers.values()) clearTimeout(timer);
  timers.clear();
  here.clear();
});
