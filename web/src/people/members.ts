/** The members of a group, page by page. */

import { useEffect, useRef, useState } from "preact/hooks";
import { client, reasonOf } from "../session/index.js";

export interface Member {
  user: string;
  /** 1 member, 2 admin, 3 owner */
  role: number;
  muted_until: number; // ms
  joined_at: number; // ms
  nickname: string;
}

interface Page {
  members: Member[];
  more: boolean;
}

export interface Members {
  list: readonly Member[];
  more: boolean;
  busy: boolean;
  error: string;
}

const PAGE = 100;
const ALL = 1000; // the largest page the server gives
const CHANGES = new Set(["joined", "left", "role", "muted", "nickname", "created"]);

/** Owner, admins, then by id: the order of a page as the server sends it is by id. */
function byRole(a: Member, b: Member): number {
  return b.role - a.role || (a.user < b.user ? -1 : 1);
}

/**
 * What is known of the members, `loadMore` for the next page and `loadAll` to search among them.
 * Read again when entries say that somebody came, went or changed.
 */
export function useMembers(log: string): [Members, (all?: boolean) => void] {
  const [state, setState] = useState<Members>({ list: [], more: false, busy: true, error: "" });
  const held = useRef<{ after: string; turn: number; list: Member[]; wanted: number }>({
    after: "", turn: 0, list: [], wanted: PAGE,
  });
  const load = async (mine: number, limit: number): Promise<void> => {
    const now = held.current;
    try {
      const page = await client().query<Page>("members", { after: now.after, limit }, log);
      if (mine !== now.turn) return;
      now.list = [...now.list, ...page.members];
      now.after = page.members.at(-1)?.user ?? now.after;
      const missing = now.wanted - now.list.length;
      if (page.more && missing > 0) return await load(mine, Math.min(ALL, missing));
      setState({ list: [...now.list].sort(byRole), more: page.more, busy: false, error: "" });
    } catch (error) {
      if (mine === now.turn) setState((was) => ({ ...was, busy: false, error: reasonOf(error) }));
    }
  };
  const again = () => {
    const now = held.current;
    Object.assign(now, { after: "", list: [], turn: now.turn + 1 });
    setState((was) => ({ ...was, busy: true }));
    void load(now.turn, Math.min(ALL, now.wanted));
  };
  useEffect(() => {
    held.current.wanted = PAGE;
    again();
    const off = client().on("log", (change) => {
      if (change.log === log && change.entries.some((e) => CHANGES.has(e.type))) again();
    });
    return () => {
      off();
      held.current.turn++;
    };
  }, [log]);
  const loadMore = (all = false) => {
    const now = held.current;
    if (state.busy || !state.more) return;
    now.wanted = all ? 100_000 : now.wanted + PAGE;
    setState({ ...state, busy: true });
    void load(now.turn, all ? ALL : PAGE);
  };
  return [state, loadMore];
}
