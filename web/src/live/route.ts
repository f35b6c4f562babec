/**
 * Where in the live pages one is: `#/live` is the lobby, `#/live/<log>` a room. A name without a
 * slash is that of a room of one's own tenant.
 */

import { computed, signal } from "@preact/signals";

const LIVE = "#/live";
const ROOM = /^[^/\s]+\/r\/[A-Za-z0-9_-]{1,64}$/;

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

/** The room an address names: "" for the lobby, null where it is no live page. Pure. */
export function roomIn(address: string): string | null {
  if (address === LIVE || address === `${LIVE}/`) return "";
  if (!address.startsWith(`${LIVE}/`)) return null;
  try {
    return decodeURIComponent(address.slice(LIVE.length + 1));
  } catch {
    return ""; // not one of our addresses: the lobby
  }
}

/** The log that a person typed or an address says; "" where it can be none. Pure. */
export function logOf(text: string, tenant: string): string {
  const clean = text.trim().replace(/^.*#\/live\//, "");
  const log = clean.includes("/") ? clean : `${tenant}/r/${clean}`;
  return ROOM.test(log) ? log : "";
}

/** The room on the screen, "" for the lobby, null for another page. */
export const liveRoom = computed(() => roomIn(hash.value));

/** A guest wants to log in before watching. */
export const loginFirst = signal(false);

/** The address of a room, or of the lobby. */
export function addressOfRoom(log = ""): string {
  return log ? `${LIVE}/${log}` : LIVE;
}

export function goLive(log = ""): void {
  location.hash = addressOfRoom(log);
}
