/** People to talk to: looked up on the server while one types. */

import { useEffect, useRef, useState } from "preact/hooks";
import {
  activityOf, client, isChat, isDirect, learn, me, openChat, peerOf, type Person, personOf, reasonOf, rows,
} from "../session/index.js";
import { rank } from "../find/matching.js";
import { toast } from "../ui/index.js";

export interface People {
  found: readonly Person[];
  busy: boolean;
  error: string;
}

const PAUSE = 250; // ms of no typing
const MOST = 30;
const USER = /^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}$/;
let prefixes = true; // false once the server said that it finds people by their whole id only

interface UsersAnswer {
  users: Person[];
}

/** People whose id or name begins with `text`; where the server does not list them, by whole id. */
async function look(text: string): Promise<Person[]> {
  if (prefixes) {
    try {
      const { users } = await client().query<UsersAnswer>("people", { text, limit: MOST });
      return users;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === 105)) throw error;
      prefixes = false; // an older server
    }
  }
  if (!USER.test(text)) return [];
  return (await client().query<UsersAnswer>("users", { ids: [text] })).users;
}

/** People one talks with, the latest first: in a direct conversation, or last to write in a group. */
export function contacts(): Person[] {
  const self = me.value?.user ?? "";
  const users = [...rows.value.values()]
    .filter((row) => isChat(row.log) && row.last)
    .sort((a, b) => Number(isDirect(b.log)) - Number(isDirect(a.log)) || activityOf(b) - activityOf(a))
    .map((row) => peerOf(row.log, self) || row.last?.from || "");
  return [...new Set(users)]
    .filter((user) => user && user !== self)
    .map((user) => ({ ...personOf(user).value, user }));
}

/** Those of the contacts whose name or id answers `text`. */
export function contactsFor(text: string): Person[] {
  return contacts().filter((p) => Math.max(rank(p.name, text), rank(p.user, text)) > 1);
}

/** People found for `text` while it is typed; nobody for "". Contacts come at once. */
export function usePeople(text: string): People {
  const [state, setState] = useState<People & { text: string }>({ found: [], busy: false, error: "", text: "" });
  const turn = useRef(0);
  const wanted = text.trim();
  useEffect(() => {
    const mine = ++turn.current;
    if (!wanted) return setState({ found: [], busy: false, error: "", text: "" });
    const near = contactsFor(wanted);
    setState({ found: near, busy: true, error: "", text: wanted });
    const timer = setTimeout(() => {
      look(wanted).then(
        (far) => {
          for (const person of far) learn(person);
          if (mine !== turn.current) return;
          const ids = new Set(near.map((p) => p.user));
          setState({ found: [...near, ...far.filter((p) => !ids.has(p.user))], busy: false, error: "", text: wanted });
        },
        (error: unknown) => {
          if (mine === turn.current) setState({ found: near, busy: false, error: reasonOf(error), text: wanted });
        },
      );
    }, PAUSE);
    return () => clearTimeout(timer);
  }, [wanted]);
  return state;
}

/** Open the conversation with somebody; `done` is called when it is there. */
export async function startDirect(user: string, done?: () => void): Promise<void> {
  try {
    const { log } = await client().call("chat.open", { user });
    done?.();
    openChat(log);
  } catch (error) {
    toast(reasonOf(error), { kind: "bad" });
  }
}
