/** Rooms that were watched in this browser, newest first. */

const KEY = "hongyan.rooms";
const MOST = 12;

export interface Seen {
  log: string;
  title: string;
}

export function recentRooms(): Seen[] {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]") as Seen[];
    return Array.isArray(found) ? found.filter((seen) => typeof seen.log === "string") : [];
  } catch {
    return []; // somebody else's
  }
}

export function remember(seen: Seen): void {
  const rest = recentRooms().filter(({ log }) => log !== seen.log);
  localStorage.setItem(KEY, JSON.stringify([seen, ...rest].slice(0, MOST)));
}

export function forget(log: string): void {
  localStorage.setItem(KEY, JSON.stringify(recentRooms().filter((seen) => seen.log !== log)));
}
