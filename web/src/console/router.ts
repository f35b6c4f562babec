/** Places of the console. They stand behind `#`, so the server has one page and links work. */

import { signal } from "@preact/signals";

export const PAGES = [
  "overview",
  "people",
  "logs",
  "webhooks",
  "hooks",
  "keys",
  "files",
  "settings",
  "audit",
] as const;

export type PageName = (typeof PAGES)[number];

export interface Place {
  page: PageName;
  /** What the page is about: a user, a log, a webhook; "" = the whole page. */
  id: string;
  query: Readonly<Record<string, string>>;
}

const START: Place = { page: "overview", id: "", query: {} };

/** Read a place; what is not understood leads to the overview. */
export function parsePlace(hash: string): Place {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [first = "", ...rest] = path.split("/");
  const page = PAGES.find((name) => name === first);
  if (!page) return START;
  let id: string;
  try {
    id = decodeURIComponent(rest.join("/"));
  } catch {
    return START; // a broken % sequence
  }
  return { page, id, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** The link to a place. */
export function placeOf(page: PageName, id = "", query: Record<string, string> = {}): string {
  const path = id ? `${page}/${id.split("/").map(encodeURIComponent).join("/")}` : page;
  const kept = Object.entries(query).filter(([, value]) => value !== "");
  const search = new URLSearchParams(kept).toString();
  return `#/${path}${search ? `?${search}` : ""}`;
}

export const place = signal<Place>(START);

export function watchPlace(): void {
  const read = () => (place.value = parsePlace(location.hash));
  addEventListener("hashchange", read);
  read();
}

export function go(page: PageName, id = "", query: Record<string, string> = {}): void {
  location.hash = placeOf(page, id, query);
}
