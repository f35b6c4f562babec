/** What is said, beside the stage; for screen readers the newest of it every few seconds. */

import { useSignal } from "@preact/signals";
import { type VNode } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { clockTime, Icon, IconButton, openMenu } from "../ui/index.js";
import { signOf } from "./gifts.js";
import { overWindow } from "./layers.js";
import { KEPT, type Line, type Said } from "./lines.js";
import { itemsFor } from "./moderating.js";
import { calledIn, Who } from "./names.js";
import type { Room } from "./room.js";
import { giftName } from "./Stage.js";
import { words } from "./words.js";

const NEAR = 48; // px from the end that still count as the end
const SPEAK_MS = 5_000;
const LOWEST = 24; // px of a line
const SPARE = 12; // lines above those that are seen

export function List({ room, moderates }: { room: Room; moderates: boolean }) {
  const w = words();
  const box = useRef<HTMLDivElement>(null);
  const stuck = useSignal(true); // to the newest
  const frozen = useRef<readonly Line[]>([]);
  const all = room.lines.value;
  if (stuck.value) frozen.current = all;
  const seen = useSignal(KEPT); // lines that have a place, and some above
  const fromEnd = useRef(-1); // px, of what is looked at when the list is held
  const lines = frozen.current;
  const last = lines.at(-1);
  const since = last ? all.findIndex((line) => line.id === last.id) : -1;
  const news = stuck.value ? 0 : since < 0 ? all.length : all.length - 1 - since;
  useLayoutEffect(() => {
    const list = box.current;
    if (!list) return;
    if (stuck.value) list.scrollTop = list.scrollHeight;
    else if (fromEnd.current >= 0) list.scrollTop = list.scrollHeight - fromEnd.current; // more stands above now
    fromEnd.current = -1;
  }, [lines, stuck.value, seen.value]);
  useEffect(() => {
    const list = box.current!;
    const sizes = new ResizeObserver(() => {
      seen.value = Math.ceil(list.clientHeight / LOWEST) + SPARE;
      if (stuck.peek()) list.scrollTop = list.scrollHeight; // a panel beside it came or went
    });
    sizes.observe(list);
    return () => sizes.disconnect();
  }, []);
  const hold = () => {
    const list = box.current!;
    fromEnd.current = list.scrollHeight - list.scrollTop;
    stuck.value = false;
  };
  const onScroll = () => {
    const list = box.current;
    if (!list) return;
    const end = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    if (!end && stuck.peek()) hold();
    else if (end && !stuck.peek() && news === 0) stuck.value = true;
  };
  const deleted = room.deleted.value;
  return (
    <div class="talk">
      <div
        ref={box}
        class="talk-list"
        role="log"
        aria-live="off"
        aria-label={w.messages}
        tabIndex={0}
        onScroll={onScroll}
      >
        {(stuck.value ? lines.slice(-seen.value) : lines).map((line) =>
          line.kind === "said" && deleted.has(line.off) ? null : (
            <Row key={line.id} room={room} line={line} moderates={moderates} />
          ),
        )}
      </div>
      {stuck.value ? (
        <div class="talk-hold">
          <IconButton icon="pause" size={18} label={w.listPause} onClick={hold} />
        </div>
      ) : (
        <button type="button" class="talk-go" onClick={() => (stuck.value = true)}>
          <Icon name="down" size={16} />
          {w.listGo(news)}
        </button>
      )}
      <Speaker room={room} />
    </div>
  );
}

const rows = new WeakMap<Line, { moderates: boolean; node: VNode }>();

/** A line; the same line is the same node, so a list that grows is not drawn anew. */
function Row({ room, line, moderates }: { room: Room; line: Line; moderates: boolean }) {
  const held = rows.get(line);
  if (held?.moderates === moderates) return held.node;
  const node = <Words room={room} line={line} moderates={moderates} />;
  rows.set(line, { moderates, node });
  return node;
}

function Words({ room, line, moderates }: { room: Room; line: Line; moderates: boolean }) {
  const w = words();
  switch (line.kind) {
    case "said":
      return <SaidRow room={room} line={line} moderates={moderates} />;
    case "gift": {
      const { gift, name = "", count } = line.given;
      return (
        <p class="line line-gift">
          <span aria-hidden="true">{signOf(gift)}</span>
          <span>{w.gave(calledIn(line.from), giftName(gift, name), count)}</span>
        </p>
      );
    }
    case "notice":
      return (
        <p class="line line-notice">
          <Icon name="horn" size={16} />
          <span>
            <b>{w.notice}</b> {line.text}
          </span>
        </p>
      );
    case "came":
      return <p class="line line-quiet">{w.came(calledIn(line.from))}</p>;
    case "order":
      return <p class="line line-quiet">{ordered(line)}</p>;
  }
}

function ordered({ act, user, on }: Line & { kind: "order" }): string {
  const w = words();
  const name = calledIn(user);
  if (act === "mute") return on ? w.muted(name) : w.unmuted(name);
  if (act === "ban") return w.banned(name);
  if (act === "unban") return w.unbanned(name);
  return on ? w.appointed(name) : w.dropped(name);
}

function SaidRow({ room, line, moderates }: { room: Room; line: Said; moderates: boolean }) {
  const w = words();
  const own = line.from === room.me;
  const isHost = line.from === room.host.value;
  const menu = (at: Element | { x: number; y: number }) => {
    openMenu({ at, label: w.more, items: itemsFor(room, line) });
    overWindow();
  };
  return (
    <div
      class={`line ${own ? "line-own" : ""}`}
      title={clockTime(line.at)}
      onContextMenu={(e) => {
        if (!moderates) return;
        e.preventDefault();
        menu({ x: e.clientX, y: e.clientY });
      }}
    >
      <p>
        {isHost && <span class="line-badge">{w.host}</span>}
        <Who user={line.from} you={own} /> <span>{line.text}</span>
        {line.held && <small class="line-held"> {w.sayHeld}</small>}
      </p>
      {moderates && (
        <button
          type="button"
          class="line-more"
          aria-haspopup="menu"
          aria-label={`${w.more}: ${calledIn(line.from)}: ${line.text}`}
          onClick={(e) => menu(e.currentTarget)}
        >
          <span aria-hidden="true">⋮</span>
        </button>
      )}
    </div>
  );
}

/** Reads the newest message aloud, not all of them. */
function Speaker({ room }: { room: Room }) {
  const spoken = useSignal("");
  useEffect(() => {
    let n = 0;
    let last: Line | undefined;
    const off = room.hear((lines) => {
      for (const line of lines) {
        if (line.kind === "came" || line.kind === "order") continue;
        n += 1;
        last = line;
      }
    });
    const timer = setInterval(() => {
      if (!last) return;
      spoken.value = words().spoken(n, inWords(last));
      n = 0;
      last = undefined;
    }, SPEAK_MS);
    return () => {
      off();
      clearInterval(timer);
    };
  }, [room]);
  return (
    <p class="unseen" aria-live="polite">
      {spoken.value}
    </p>
  );
}

function inWords(line: Line): string {
  const w = words();
  if (line.kind === "said") return `${calledIn(line.from)}: ${line.text}`;
  if (line.kind === "notice") return `${w.notice}: ${line.text}`;
  if (line.kind !== "gift") return "";
  return w.gave(calledIn(line.from), giftName(line.given.gift, line.given.name ?? ""), line.given.count);
}
