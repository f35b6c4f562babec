/** A message that was found. */

import {
  ChatAvatar, entryLine, isGroup, me, nameOf, openChat, panel, phone, rows, titleOf, UserAvatar,
} from "../session/index.js";
import { fullWhen, shortWhen } from "../ui/index.js";
import { Marked } from "./Marked.js";
import type { Hit } from "./searching.js";
import { words } from "./words.js";

/** `place`: say in which conversation it is (false: who said it is enough). */
export function HitRow({ hit, query, place }: { hit: Hit; query: string; place: boolean }) {
  const { entry, log } = hit;
  const row = rows.value.get(log);
  const author = entry.from === me.value?.user ? words().you : nameOf(entry.from);
  const named = place && (!row || isGroup(log) || entry.from === me.value?.user);
  return (
    <li>
      <button
        type="button"
        class="hit"
        onClick={() => {
          if (phone.value) panel.value = null;
          openChat(log, entry.seq);
        }}
      >
        {place && row ? <ChatAvatar row={row} size={40} /> : <UserAvatar user={entry.from} size={40} />}
        <span class="hit-main">
          <span class="row-top">
            <span class="hit-title ellipsis">{place && row ? titleOf(row) : author}</span>
            <time class="row-time" dateTime={new Date(entry.at).toISOString()} title={fullWhen(entry.at)}>
              {shortWhen(entry.at)}
            </time>
          </span>
          <span class="hit-text">
            {named && <span class="hit-by">{author}: </span>}
            <Marked text={entryLine(entry)} query={query} room={110} />
          </span>
        </span>
      </button>
    </li>
  );
}
