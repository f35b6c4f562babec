/**
 * What the page shows: which conversation, which side panel, which window. The address bar holds
 * the conversation as `#/c/<log>`, so back and forward work; on a phone "back" is the list.
 */

import { computed, signal } from "@preact/signals";

export type Panel = "details" | "search";
export type Overlay = "new-chat" | "settings";

const CHAT = "#/c/";

function logOf(hash: string): string {
  if (!hash.startsWith(CHAT)) return "";
  try {
    return decodeURI(hash.slice(CHAT.length));
  } catch {
    return ""; // not one of our addresses
  }
}

// `/c/<log>` is served too, for links in mails: from here on it is the hash.
if (location.pathname.startsWith("/c/")) {
  history.replaceState(null, "", `/${location.search}#${location.pathname}`);
}

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

/** The log of the conversation on the screen, "" for none. */
export const currentLog = computed(() => logOf(hash.value));

export const panel = signal<Panel | null>(null);
export const overlay = signal<Overlay | null>(null);

/** Where a thread has to jump to as soon as it is there; the thread takes it away. */
export const jump = signal<{ log: string; to: { seq: number } } | null>(null);

export const phone = signal(false);
const narrow = matchMedia("(max-width: 720px)");
phone.value = narrow.matches;
narrow.addEventListener("change", (e) => (phone.value = e.matches));

/** The address of a conversation, for links. */
export function addressOf(log: string): string {
  return CHAT + encodeURI(log);
}

/** Show a conversation, or with `seq` the place of an entry in it. */
export function openChat(log: string, seq?: number): void {
  if (seq) jump.value = { log, to: { seq } };
  if (phone.value) panel.value = null;
  if (log !== currentLog.value) location.hash = addressOf(log);
}

/** Show the list again (phone), or nothing beside it. */
export function closeChat(): void {
  panel.value = null;
  if (currentLog.value) location.hash = "#/";
}

/** Show a side panel; the one that is there already goes away. */
export function togglePanel(which: Panel): void {
  panel.value = panel.value === which ? null : which;
}

/** Take what the address bar says out of it (a secret), without a new step in the history. */
export function eraseHash(): void {
  history.replaceState(null, "", location.pathname + location.search);
  hash.value = "";
}
