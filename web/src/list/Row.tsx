/** One conversation in the list. */

import type { InboxRow } from "@hongyan/sdk";
import {
  addressOf, ChatAvatar, contentLine, type Content, entryLine, entryLineBy, isGroup, me, nameOf, openChat,
  outbox, peerOf, settingsOf, stateOf, titleOf, typingIn,
} from "../session/index.js";
import { Badge, fullWhen, Icon, type IconName, openMenu, shortWhen } from "../ui/index.js";
import { menuOf } from "./actions.js";
import { usePress } from "./press.js";
import { words } from "./words.js";

export const ROW_HEIGHT = 72; // px, as in list.css

interface Line {
  /** Before the text, in a colour of its own. */
  lead?: string;
  text: string;
  tone?: "draft" | "typing" | "quiet";
  /** State of an own message. */
  tick?: "sending" | "failed" | "sent" | "read";
}

/** What the second line of a row says: typing before draft before unsent before the last message. */
function lineOf(row: InboxRow, current: boolean): Line {
  const w = words();
  const typing = typingIn(row.log);
  if (typing.length) {
    const one = typing[0] ?? "";
    const text = !isGroup(row.log) ? w.typing : typing.length > 1 ? w.areTyping(typing.length) : w.isTyping(nameOf(one));
    return { text, tone: "typing" };
  }
  const { draft } = settingsOf(row);
  if (draft && !current) return { lead: `${w.draft}: `, text: draft, tone: "draft" };
  const unsent = outbox.value.filter((c) => c.log === row.log && c.name === "chat.send").at(-1);
  if (unsent) {
    const { content } = unsent.args as unknown as { content: Content };
    return { text: contentLine(content), tick: unsent.state === "failed" ? "failed" : "sending" };
  }
  return lastLine(row);
}

function lastLine(row: InboxRow): Line {
  const w = words();
  if (stateOf(row).dissolved_at) return { text: w.dissolved, tone: "quiet" };
  if (row.role === 0) return { text: w.left, tone: "quiet" };
  const { last } = row;
  if (!last) return { text: w.nothing, tone: "quiet" };
  if (isGroup(row.log)) return { text: entryLineBy(last) };
  const mine = last.from === me.value?.user;
  const self = peerOf(row.log, last.from) === last.from;
  if (!mine || self || !entryLine(last)) return { text: entryLine(last) };
  return { text: entryLine(last), tick: row.peer_read >= last.seq ? "read" : "sent" };
}

const TICKS: Record<NonNullable<Line["tick"]>, IconName> = {
  sending: "clock",
  failed: "warn",
  sent: "check",
  read: "check",
};

export interface RowProps {
  row: InboxRow;
  /** Place in the list, from 0, and how many there are. */
  index: number;
  of: number;
  current: boolean;
  /** The one row that the Tab key reaches. */
  reachable: boolean;
  onFocus: (log: string) => void;
}

export function Row({ row, index, of, current, reachable, onFocus }: RowProps) {
  const w = words();
  const self = me.value?.user ?? "";
  const own = settingsOf(row);
  const title = titleOf(row);
  const line = lineOf(row, current);
  const at = row.last?.at ?? 0;
  const press = usePress((x, y) => openMenu({ at: { x, y }, items: menuOf(row), label: w.menuOf(title) }));
  return (
    <li
      class="list-item"
      style={{ top: `${index * ROW_HEIGHT}px` }}
      aria-setsize={of}
      aria-posinset={index + 1}
    >
      <a
        class={`row ${own.pinned ? "row-pinned" : ""}`}
        href={addressOf(row.log)}
        data-log={row.log}
        tabIndex={reachable ? 0 : -1}
        aria-current={current ? "page" : undefined}
        aria-keyshortcuts="Shift+F10"
        draggable={false}
        onFocus={() => onFocus(row.log)}
        onClick={(e) => {
          if (e.ctrlKey || e.metaKey || e.shiftKey) return; // a new tab, as with any link
          e.preventDefault();
          if (!press.pressed()) openChat(row.log);
        }}
        {...press.handlers}
      >
        <ChatAvatar row={row} size={48} presence={peerOf(row.log, self) !== self} />
        <span class="row-main">
          <span class="row-top">
            <span class="row-title ellipsis">{title}</span>
            {own.mute && (
              <span class="row-mark" title={w.muted}>
                <Icon name="bellOff" size={14} />
                <span class="unseen">{w.muted}</span>
              </span>
            )}
            {at > 0 && (
              <time class="row-time" dateTime={new Date(at).toISOString()} title={fullWhen(at)}>
                {shortWhen(at)}
              </time>
            )}
          </span>
          <span class="row-bottom">
            <LastLine line={line} />
            <Marks row={row} />
          </span>
        </span>
      </a>
    </li>
  );
}

function LastLine({ line }: { line: Line }) {
  const w = words();
  return (
    <span class={`row-line ellipsis ${line.tone ? `row-${line.tone}` : ""}`}>
      {line.tick && (
        <span class={`row-tick row-tick-${line.tick}`}>
          <Icon name={TICKS[line.tick]} size={15} />
          {line.tick === "read" && <Icon name="check" size={15} class="row-tick-second" />}
          <span class="unseen">{w[line.tick]}: </span>
        </span>
      )}
      {line.lead && <span class="row-lead">{line.lead}</span>}
      {line.text.slice(0, 200)}
    </span>
  );
}

function Marks({ row }: { row: InboxRow }) {
  const w = words();
  const own = settingsOf(row);
  const asks = row.unread > 0 || row.marked;
  return (
    <>
      {row.mentions > 0 && (
        <span class="row-at" title={w.mentioned}>
          <Icon name="at" size={13} />
          <span class="unseen">{w.mentioned}</span>
        </span>
      )}
      {row.unread > 0 && <Badge n={row.unread} muted={Boolean(own.mute)} label={w.unreadCount(row.unread)} />}
      {row.unread <= 0 && row.marked && (
        <span class={`row-dot ${own.mute ? "row-dot-muted" : ""}`}>
          <span class="unseen">{w.marked}</span>
        </span>
      )}
      {own.pinned && !asks && (
        <span class="row-mark" title={w.pinned}>
          <Icon name="pin" size={15} />
          <span class="unseen">{w.pinned}</span>
        </span>
      )}
    </>
  );
}
