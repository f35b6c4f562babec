/** Pictures, files and links among the latest messages of a conversation. */

import type { Entry } from "@hongyan/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { client, type Content, type MessageBody, reasonOf } from "../session/index.js";

export interface Kept {
  entry: Entry;
  content: Content;
}

export interface Media {
  pictures: readonly Kept[];
  files: readonly Kept[];
  links: readonly { entry: Entry; url: string }[];
  more: boolean;
  busy: boolean;
  error: string;
}

const PAGE = 100;
const URLS = /https?:\/\/[^\s<>"“”‘’（）()]+[^\s<>"“”‘’（）().,;:!?，。；：！？]/g;

/** Web addresses in a text, without the signs after them. Pure. */
export function urlsIn(text: string): string[] {
  return text.match(URLS) ?? [];
}

/** What a page of entries holds, the newest first. `amends` may recall or edit some. Pure. */
export function keptIn(entries: readonly Entry[], amends: readonly Entry[]): Pick<Media, "pictures" | "files" | "links"> {
  const pictures: Kept[] = [];
  const files: Kept[] = [];
  const links: { entry: Entry; url: string }[] = [];
  const gone = new Set(amends.filter((a) => a.slot === "recall").map((a) => a.target));
  const edits = new Map<number, Entry>();
  for (const a of [...entries, ...amends]) if (a.slot === "edit") edits.set(a.target, a);
  for (const entry of [...entries].reverse()) {
    if (entry.type !== "message" || gone.has(entry.seq)) continue;
    const { content } = (edits.get(entry.seq) ?? entry).body as MessageBody;
    if (content?.type === "image" || content?.type === "video") pictures.push({ entry, content });
    else if (content?.type === "file") files.push({ entry, content });
    else if (content?.type === "text") for (const url of urlsIn(content.text)) links.push({ entry, url });
  }
  return { pictures, files, links };
}

const NONE: Media = { pictures: [], files: [], links: [], more: false, busy: true, error: "" };

/** Of the newest messages; the function looks further back. */
export function useMedia(log: string): [Media, () => void] {
  const [state, setState] = useState(NONE);
  const before = useRef(0);
  const alive = useRef(true);
  const load = async () => {
    setState((was) => ({ ...was, busy: true, error: "" }));
    try {
      const page = await client().read(log, { before: before.current }, PAGE);
      if (!alive.current) return;
      const first = page.entries[0]?.seq ?? 0;
      before.current = first;
      const found = keptIn(page.entries, page.amends);
      setState((was) => ({
        pictures: [...was.pictures, ...found.pictures],
        files: [...was.files, ...found.files],
        links: [...was.links, ...found.links],
        more: page.more && first > page.floor,
        busy: false,
        error: "",
      }));
    } catch (error) {
      if (alive.current) setState((was) => ({ ...was, busy: false, error: reasonOf(error) }));
    }
  };
  useEffect(() => {
    alive.current = true;
    before.current = 0;
    setState(NONE);
    void load();
    return () => {
      alive.current = false;
    };
  }, [log]);
  return [state, () => void load()];
}
