/** Pictures, files and links among the latest messages of a conversation. */

import { useEffect, useRef, useState } from "preact/hooks";
import { client, reasonOf } from "../session/index.js";
import { keptIn, type Sorted } from "./kept.js";

export interface Media extends Sorted {
  more: boolean;
  busy: boolean;
  error: string;
}

const PAGE = 100; // entries looked at in one step

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
