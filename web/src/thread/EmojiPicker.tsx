/** The emoji picker: `openEmoji(at, chosen)`. Needs `EmojiHost` in the page. */

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { place, useBackdrop } from "../ui/index.js";
import { EMOJI, recentEmoji, usedEmoji } from "./emoji.js";
import { words } from "./words.js";

interface Asked {
  at: Element | { x: number; y: number };
  chosen: (emoji: string) => void;
  /** Stays open for more than one. */
  many: boolean;
}

const asked = signal<Asked | null>(null);

export function openEmoji(at: Asked["at"], chosen: Asked["chosen"], many = false): void {
  asked.value = { at, chosen, many };
}

export function EmojiHost() {
  return asked.value ? <Picker ask={asked.value} /> : null;
}

const COLUMNS = 8;

function Picker({ ask }: { ask: Asked }) {
  const ref = useRef<HTMLDialogElement>(null);
  const [recent] = useState(recentEmoji);
  const w = words();
  const close = () => {
    asked.value = null;
  };
  const backdrop = useBackdrop(ref, close);
  useLayoutEffect(() => {
    const box = ref.current;
    if (!box) return;
    box.showModal();
    place(box, ask.at);
    box.querySelector<HTMLElement>(".emoji-one")?.focus();
    return () => box.close();
  }, []);
  const choose = (emoji: string) => {
    usedEmoji(emoji);
    if (!ask.many) close();
    ask.chosen(emoji);
  };
  const move = (e: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[e.key];
    if (!by) return;
    e.preventDefault();
    const all = [...(ref.current?.querySelectorAll<HTMLElement>(".emoji-one") ?? [])];
    const now = all.indexOf(document.activeElement as HTMLElement);
    all[Math.max(0, Math.min(all.length - 1, now + by))]?.focus();
  };
  const group = (name: string, list: readonly string[]) =>
    list.length > 0 && (
      <section key={name} class="emoji-group">
        <h3>{name}</h3>
        <div class="emoji-grid">
          {list.map((emoji) => (
            <button key={emoji} type="button" class="emoji-one" aria-label={emoji} onClick={() => choose(emoji)}>
              {emoji}
            </button>
          ))}
        </div>
      </section>
    );
  return (
    <dialog
      ref={ref}
      class="menu emoji"
      aria-label={w.pickEmoji}
      onCancel={(e) => {
        e.preventDefault();
        close();
      }}
      {...backdrop}
      onKeyDown={move}
    >
      {group(w.recent, recent)}
      {Object.entries(EMOJI).map(([name, list]) => group(w.emojiGroups[name] ?? name, list.split(" ")))}
    </dialog>
  );
}
