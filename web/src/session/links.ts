/**
 * Links to files: signed and short-lived, asked for in bundles and kept while they are good.
 * `linkTo` is for those who need a URL at a moment (download), `fileLink` for what is drawn.
 */

import { type ReadonlySignal, signal, type Signal } from "@preact/signals";
import { client, onLogin } from "./session.js";
import { refusalOf } from "./login.js";

/** What a link may be asked for: a file of an entry, a person's picture, a group's picture. */
export type FileRef =
  | { log: string; seq: number; digest: string; download?: boolean }
  | { user: string }
  | { log: string; avatar: true };

interface Kept {
  url: Signal<string>;
  /** ms; asked for again from then on. */
  until: number;
  asking: Promise<string> | null;
}

interface LinksAnswer {
  links: { url?: string; expires_at?: number }[];
}

const BUNDLE = 50;
const SPARE = 60_000; // ms: a link is not given out in its last minute
const AGAIN = 30_000; // ms after which a refused one is asked for again

const kept = new Map<string, Kept>();
let waiting: { ref: FileRef; done: (url: string) => void; failed: (e: unknown) => void; entry: Kept }[] = [];

async function askAll(): Promise<void> {
  const all = waiting;
  waiting = [];
  for (let i = 0; i < all.length; i += BUNDLE) {
    const part = all.slice(i, i + BUNDLE);
    try {
      const answer = await client().http("/v1/files/links", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ items: part.map((p) => p.ref) }),
      });
      if (!answer.ok) throw await refusalOf(answer);
      const { links } = (await answer.json()) as LinksAnswer;
      part.forEach((p, n) => {
        const link = links[n];
        p.entry.until = link?.url ? (link.expires_at ?? Date.now() + 300_000) - SPARE : Date.now() + AGAIN;
        p.entry.url.value = link?.url ?? "";
        p.done(link?.url ?? "");
      });
    } catch (error) {
      for (const p of part) {
        p.entry.until = Date.now() + 2_000;
        p.failed(error);
      }
    }
  }
}

function entryOf(ref: FileRef): Kept {
  const key = JSON.stringify(ref);
  let entry = kept.get(key);
  if (!entry) kept.set(key, (entry = { url: signal(""), until: 0, asking: null }));
  return entry;
}

/** A URL that is good for at least a minute; "" when there is none. Throws when it cannot be asked for. */
export function linkTo(ref: FileRef): Promise<string> {
  const entry = entryOf(ref);
  if (entry.until > Date.now()) return Promise.resolve(entry.url.peek());
  entry.asking ??= new Promise<string>((done, failed) => {
    if (waiting.length === 0) setTimeout(() => void askAll(), 0);
    waiting.push({ ref, done, failed, entry });
  }).finally(() => (entry.asking = null));
  return entry.asking;
}

/** The URL as a signal: "" until it is there. */
export function fileLink(ref: FileRef): ReadonlySignal<string> {
  const entry = entryOf(ref);
  if (entry.until <= Date.now()) linkTo(ref).catch(() => undefined); // shown without it
  return entry.url;
}

/** Ask again, e.g. after a picture was changed or a link was refused. */
export function forgetLink(ref: FileRef): void {
  entryOf(ref).until = 0;
}

onLogin(() => () => kept.clear());
