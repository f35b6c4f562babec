/** Names, pictures, presence and who is typing, asked for in bundles and kept. */

import { type ReadonlySignal, signal, type Signal } from "@preact/signals";
import type { Client } from "@hongyan/sdk";
import type { Me } from "./login.js";
import { client, me, onLogin, status } from "./session.js";

export interface Person {
  user: string;
  name: string;
  /** Digest of a picture, "" for none. */
  avatar: string;
}

export interface Presence {
  user: string;
  /** `online`, `away`, `offline`; "" while it is not known. */
  state: string;
  /** ms; 0 = not known. */
  last_seen: number;
}

const BUNDLE = 200; // users in one query
const FRESH = 10 * 60_000; // ms after which a name is asked for again when it is shown anew
const TYPING = 6_000; // ms that a "typing" counts
const KEPT = 1000; // people remembered for the next start

/** Collect ids within a moment and ask for them together. */
function bundled(ask: (ids: string[]) => Promise<void>): (id: string) => void {
  let waiting = new Set<string>();
  return (id) => {
    if (waiting.size === 0) {
      setTimeout(() => {
        const ids = [...waiting];
        waiting = new Set();
        for (let i = 0; i < ids.length; i += BUNDLE) void ask(ids.slice(i, i + BUNDLE));
      }, 0);
    }
    waiting.add(id);
  };
}

interface Known {
  shown: Signal<Person>;
  asked: number;
}

const known = new Map<string, Known>();
const keptKey = (who: Me) => `hongyan.people:${who.tenant}:${who.user}`;

const askPerson = bundled(async (ids) => {
  try {
    const { users } = await client().query<{ users: Person[] }>("users", { ids });
    for (const person of users) learn(person);
    keep();
  } catch {
    // offline: shown by id until it is asked for again
    for (const id of ids) {
      const entry = known.get(id);
      if (entry) entry.asked = 0;
    }
  }
});

/** Take in what another answer told of a person. */
export function learn(person: Person): void {
  const entry = known.get(person.user);
  if (!entry) known.set(person.user, { shown: signal(person), asked: Date.now() });
  else {
    entry.asked = Date.now();
    const old = entry.shown.peek();
    if (old.name !== person.name || old.avatar !== person.avatar) entry.shown.value = person;
  }
}

/** A person by id: at once with what is known (the id as name), and again when more is. */
export function personOf(user: string): ReadonlySignal<Person> {
  let entry = known.get(user);
  if (!entry) known.set(user, (entry = { shown: signal({ user, name: "", avatar: "" }), asked: 0 }));
  if (user && Date.now() - entry.asked > FRESH) {
    entry.asked = Date.now();
    askPerson(user);
  }
  return entry.shown;
}

/** How a person is called: the display name, or the id. */
export function nameOf(user: string): string {
  return personOf(user).value.name || user;
}

function keep(): void {
  const all = [...known.values()].map((k) => k.shown.peek()).filter((p) => p.name);
  if (me.value) localStorage.setItem(keptKey(me.value), JSON.stringify(all.slice(-KEPT)));
}

const presences = new Map<string, Signal<Presence>>();

const askPresence = bundled(async (ids) => {
  try {
    for (const p of await client().watch(ids)) presenceCell(p.user).value = p;
  } catch {
    // offline: asked again with the next connection
  }
});

function presenceCell(user: string): Signal<Presence> {
  let cell = presences.get(user);
  if (!cell) presences.set(user, (cell = signal({ user, state: "", last_seen: 0 })));
  return cell;
}

/** Presence of a person one has a direct conversation with, now and from now on. */
export function presenceOf(user: string): ReadonlySignal<Presence> {
  const isNew = !presences.has(user);
  const cell = presenceCell(user);
  if (isNew && user) askPresence(user);
  return cell;
}

interface Typing {
  user: string;
  until: number;
}

const typing = new Map<string, Signal<readonly Typing[]>>();

function typingCell(log: string): Signal<readonly Typing[]> {
  let cell = typing.get(log);
  if (!cell) typing.set(log, (cell = signal([])));
  return cell;
}

/** Who is typing in a conversation at the moment. */
export function typingIn(log: string): readonly string[] {
  return typingCell(log).value.map((t) => t.user);
}

function setTyping(log: string, user: string, on: boolean): void {
  const cell = typingCell(log);
  const rest = cell.peek().filter((t) => t.user !== user);
  if (!on) {
    if (rest.length !== cell.peek().length) cell.value = rest;
    return;
  }
  const until = Date.now() + TYPING;
  cell.value = [...rest, { user, until }];
  setTimeout(() => {
    const left = cell.peek().filter((t) => t.until > Date.now());
    if (left.length !== cell.peek().length) cell.value = left;
  }, TYPING + 50);
}

onLogin((made: Client, who) => {
  const text = localStorage.getItem(keptKey(who));
  for (const person of text ? (JSON.parse(text) as Person[]) : []) {
    if (!known.has(person.user)) known.set(person.user, { shown: signal(person), asked: 0 });
  }
  const said = new Map<string, number>(); // seq of the last message by log
  const off = [
    made.on("presence", (p) => (presenceCell(p.user).value = p)),
    made.on("signal", (s) => {
      if (s.name === "typing" && s.user !== who.user) {
        setTyping(s.log, s.user, (s.body as { on?: boolean }).on === true);
      }
    }),
    made.on("log", ({ log, entries }) => {
      for (const e of entries) if (e.count) setTyping(log, e.from, false);
    }),
    made.on("rows", (changed) => {
      for (const { log, last } of changed) {
        if (!last || last.seq <= (said.get(log) ?? 0)) continue;
        said.set(log, last.seq);
        setTyping(log, last.from, false); // what is not open tells only by its row
      }
    }),
    made.on("status", (now) => {
      if (now.state === "open" && !wasOpen) for (const user of presences.keys()) askPresence(user);
      wasOpen = now.state === "open";
    }),
  ];
  return () => {
    for (const each of off) each();
    known.clear();
    presences.clear();
    typing.clear();
    localStorage.removeItem(keptKey(who));
  };
});

let wasOpen = status.peek().state === "open";
