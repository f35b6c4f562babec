/** Words of a message: links, mentions, emoji. Text stays text: nothing of it becomes markup. */

import type { ComponentChildren } from "preact";
import { me, nameOf } from "../session/index.js";
import { isBigEmoji, linkify } from "./linkify.js";
import { type Mentionable, spansOf } from "./mentions.js";
import { words } from "./words.js";

const EVERYONE = ["all", "所有人"];

function linked(text: string, key: string): ComponentChildren {
  return linkify(text).map((piece, n) =>
    piece.href ? (
      <a key={`${key}${n}`} href={piece.href} target="_blank" rel="noopener noreferrer nofollow">
        {piece.text}
      </a>
    ) : (
      piece.text
    ),
  );
}

/** Everything that may stand behind an "@" for those who are mentioned. */
function called(mentions: readonly string[], all: boolean): Mentionable[] {
  const found: Mentionable[] = mentions.flatMap((user) => [
    { user, name: nameOf(user) },
    { user, name: user },
  ]);
  return all ? [...found, ...EVERYONE.map((name) => ({ user: "", name }))] : found;
}

export function Words(props: { text: string; mentions?: string[]; all?: boolean }) {
  const { text, mentions = [], all = false } = props;
  const spans = spansOf(text, called(mentions, all));
  const parts: ComponentChildren[] = [];
  let done = 0;
  for (const span of spans) {
    parts.push(linked(text.slice(done, span.from), `a${done}`));
    const mine = span.user === "" || span.user === me.value?.user;
    parts.push(
      <span key={`m${span.from}`} class={`mention ${mine ? "mention-me" : ""}`}>
        {text.slice(span.from, span.to)}
      </span>,
    );
    done = span.to;
  }
  parts.push(linked(text.slice(done), `z${done}`));
  return <>{parts}</>;
}

export function TextBody(props: { text: string; mentions?: string[]; all?: boolean }) {
  if (isBigEmoji(props.text)) return <p class="text text-big">{props.text.trim()}</p>;
  return (
    <p class="text" dir="auto">
      <Words {...props} />
    </p>
  );
}

export function Unknown() {
  return <p class="text text-quiet">{words().unknown}</p>;
}
