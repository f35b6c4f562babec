/** Pictures, files and links in a page of entries. Pure. */

import type { Entry } from "@hongyan/sdk";
import type { Content, MessageBody } from "../session/summary.js";

export interface Kept {
  entry: Entry;
  content: Content;
}

export interface KeptLink {
  entry: Entry;
  url: string;
}

export interface Sorted {
  pictures: readonly Kept[];
  files: readonly Kept[];
  links: readonly KeptLink[];
}

const URLS = /https?:\/\/[^\s<>"“”‘’（）()]+[^\s<>"“”‘’（）().,;:!?，。；：！？]/g;

/** Web addresses in a text, without the signs after them. */
export function urlsIn(text: string): string[] {
  return text.match(URLS) ?? [];
}

/** What a page holds, the newest first; `amends` are later entries that edit or recall some. */
export function keptIn(entries: readonly Entry[], amends: readonly Entry[]): Sorted {
  const pictures: Kept[] = [];
  const files: Kept[] = [];
  const links: KeptLink[] = [];
  const changes = [...entries, ...amends].sort((a, b) => a.seq - b.seq);
  const gone = new Set(changes.filter((e) => e.slot === "recall").map((e) => e.target));
  const edits = new Map(changes.filter((e) => e.slot === "edit").map((e) => [e.target, e]));
  for (const entry of [...entries].reverse()) {
    if (entry.type !== "message" || gone.has(entry.seq)) continue;
    const { content } = (edits.get(entry.seq) ?? entry).body as MessageBody;
    if (content?.type === "image" || content?.type === "video") pictures.push({ entry, content });
    else if (content?.type === "file") files.push({ entry, content });
    else if (content?.type === "text") for (const url of urlsIn(content.text)) links.push({ entry, url });
  }
  return { pictures, files, links };
}
