/** Ctrl+K: go to a conversation, a person or a window by a few letters. */

import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import type { InboxRow } from "@hongyan/sdk";
import { namesOf } from "../list/naming.js";
import { listed } from "../list/order.js";
import { startDirect, usePeople } from "../people/finding.js";
import { newChatAs } from "../people/newChatAs.js";
import {
  ChatAvatar, me, openChat, overlay, peerOf, type Person, rows, sortedRows, titleOf, UserAvatar,
} from "../session/index.js";
import { Dialog, Icon, type IconName, setTheme } from "../ui/index.js";
import { Marked } from "./Marked.js";
import { rank } from "./matching.js";
import { paletteOpen } from "./palette.js";
import { words } from "./words.js";
import "./find.css";

type Choice =
  | { kind: "chat"; key: string; title: string; row: InboxRow; run: () => void }
  | { kind: "person"; key: string; title: string; person: Person; run: () => void }
  | { kind: "action"; key: string; title: string; icon: IconName; run: () => void };

const MOST = 7; // conversations shown at once

/** Listens for Ctrl+K (Cmd+K) and shows the window. Once per page. */
export function PaletteHost() {
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if ((e.ctrlKey || e.metaKey) && !e.shiftKey && !e.altKey && e.key.toLowerCase() === "k") {
        e.preventDefault();
        paletteOpen.value = !paletteOpen.value;
      }
    };
    addEventListener("keydown", onKey);
    return () => {
      removeEventListener("keydown", onKey);
      paletteOpen.value = false;
    };
  }, []);
  return paletteOpen.value ? <Palette /> : null;
}

function actions(): Choice[] {
  const w = words();
  const dark = document.documentElement.dataset["theme"] === "dark";
  const make = (key: string, title: string, icon: IconName, run: () => void): Choice => ({
    kind: "action", key, title, icon, run,
  });
  return [
    make("new", w.newChat, "compose", () => newChatAs("chat")),
    make("group", w.newGroup, "users", () => newChatAs("group")),
    make("settings", w.settings, "settings", () => (overlay.value = "settings")),
    make("theme", dark ? w.light : w.dark, dark ? "sun" : "moon", () => setTheme(dark ? "light" : "dark")),
  ];
}

function Palette() {
  const w = words();
  const id = useId();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const people = usePeople(text);
  const all = rows.value;
  const chats = useMemo(() => {
    const found = text.trim() ? listed(all.values(), "all", text, namesOf) : sortedRows.value;
    return found.slice(0, MOST);
  }, [text, all]);
  const self = me.value?.user ?? "";
  const known = new Set(chats.map((row) => peerOf(row.log, self)).filter(Boolean));
  const choices: Choice[] = [
    ...chats.map((row): Choice => ({
      kind: "chat", key: row.log, title: titleOf(row), row, run: () => openChat(row.log),
    })),
    ...people.found
      .filter((p) => !known.has(p.user))
      .map((person): Choice => ({
        kind: "person",
        key: person.user,
        title: person.name || person.user,
        person,
        run: () => void startDirect(person.user),
      })),
    ...actions().filter((a) => !text.trim() || rank(a.title, text) > 0),
  ];
  const index = Math.min(at, choices.length - 1);
  const close = () => (paletteOpen.value = false);
  const choose = (choice: Choice | undefined) => {
    if (!choice) return;
    close();
    choice.run();
  };
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [index]);
  const onKeyDown = (e: KeyboardEvent) => {
    if (e.isComposing) return; // the keys belong to the input method
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[e.key];
    if (step) setAt((index + step + choices.length) % Math.max(1, choices.length));
    else if (e.key === "Enter") choose(choices[index]);
    else return;
    e.preventDefault();
  };
  return (
    <Dialog title={w.palette} class="palette" onClose={close}>
      <div class="palette-box">
        <Icon name="search" size={20} />
        <input
          role="combobox"
          aria-label={w.palette}
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-activedescendant={choices.length ? `${id}-${index}` : undefined}
          aria-autocomplete="list"
          autofocus
          autocomplete="off"
          spellcheck={false}
          placeholder={w.paletteHint}
          value={text}
          onInput={(e) => {
            setText(e.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <div ref={list} id={`${id}-list`} class="palette-list" role="listbox" aria-label={w.palette}>
        {choices.map((choice, i) => (
          <div
            key={`${choice.kind} ${choice.key}`}
            id={`${id}-${i}`}
            role="option"
            class="palette-item"
            aria-selected={i === index}
            onMouseMove={() => setAt(i)}
            onClick={() => choose(choice)}
          >
            <Picture choice={choice} />
            <span class="ellipsis">
              <Marked text={choice.title} query={text} />
            </span>
            <span class="palette-what">
              {choice.kind === "action" ? w.actions : choice.kind === "person" ? `@${choice.person.user}` : ""}
            </span>
          </div>
        ))}
        {!choices.length && !people.busy && <p class="found-note">{w.noneFound}</p>}
      </div>
      <p class="palette-keys" aria-hidden="true">
        <span>
          <kbd>↑</kbd> <kbd>↓</kbd> {w.toGo}
        </span>
        <span>
          <kbd>↵</kbd> {w.toOpen}
        </span>
        <span>
          <kbd>Esc</kbd> {w.toClose}
        </span>
      </p>
    </Dialog>
  );
}

function Picture({ choice }: { choice: Choice }) {
  if (choice.kind === "chat") return <ChatAvatar row={choice.row} size={32} presence />;
  if (choice.kind === "person") return <UserAvatar user={choice.person.user} size={32} />;
  return (
    <span class="palette-icon">
      <Icon name={choice.icon} size={18} />
    </span>
  );
}
