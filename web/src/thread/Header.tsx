/** Above the thread: who it is with, who is there, and what is pinned. */

import { useState } from "preact/hooks";
import type { InboxRow } from "@hongyan/sdk";
import {
  ChatAvatar, closeChat, isGroup, me, nameOf, panel, peerOf, presenceOf, status, stateOf, titleOf,
  togglePanel, typingIn,
} from "../session/index.js";
import { fullWhen, Icon, IconButton, shortWhen, dayOf } from "../ui/index.js";
import { removeForMe } from "./actions.js";
import { forwarding, selection } from "./focus.js";
import type { ThreadStore } from "./store.js";
import { words } from "./words.js";

const MOST_FORWARDED = 100;

function subtitle(row: InboxRow): { text: string; lively: boolean } {
  const w = words();
  const self = me.value?.user ?? "";
  const typing = typingIn(row.log);
  const group = isGroup(row.log);
  if (typing.length > 1) return { text: w.typingMany(typing.length), lively: true };
  if (typing[0]) return { text: group ? w.typingOne(nameOf(typing[0])) : w.typing, lively: true };
  const s = status.value.state;
  if (s === "connecting" || s === "waiting") return { text: w.connecting, lively: false };
  if (group) return { text: row.role ? w.members(row.count) : w.left, lively: false };
  const peer = peerOf(row.log, self);
  if (peer === self) return { text: "", lively: false };
  const { state, last_seen } = presenceOf(peer).value;
  if (state === "online") return { text: w.online, lively: true };
  if (state === "away") return { text: w.away, lively: false };
  if (!state || s !== "open") return { text: "", lively: false };
  if (!last_seen) return { text: w.offline, lively: false };
  const today = dayOf(last_seen) === dayOf(Date.now());
  return { text: w.lastSeen(today ? shortWhen(last_seen) : fullWhen(last_seen)), lively: false };
}

export function Header({ row, log }: { row: InboxRow | undefined; log: string }) {
  const w = words();
  if (selection.value) return <SelectionBar log={log} />;
  const under = row ? subtitle(row) : { text: "", lively: false };
  return (
    <header class="head">
      <IconButton icon="back" class="head-back" label={w.back} onClick={closeChat} />
      {row && (
        <button type="button" class="head-who" onClick={() => togglePanel("details")}>
          <ChatAvatar row={row} size={40} />
          <span class="head-words">
            <h1 class="ellipsis">{titleOf(row)}</h1>
            {under.text && (
              <span class={`ellipsis head-under ${under.lively ? "head-lively" : ""}`}>{under.text}</span>
            )}
          </span>
          <span class="unseen">{w.details}</span>
        </button>
      )}
      <span class="head-room" />
      {row && <IconButton icon="search" label={w.search} pressed={panel.value === "search"} onClick={() => togglePanel("search")} />}
      {row && <IconButton icon="info" label={w.details} pressed={panel.value === "details"} onClick={() => togglePanel("details")} />}
    </header>
  );
}

function SelectionBar({ log }: { log: string }) {
  const w = words();
  const seqs = [...(selection.value ?? [])].sort((a, b) => a - b);
  return (
    <header class="head head-picking">
      <IconButton icon="close" label={w.cancel} onClick={() => (selection.value = null)} />
      <h1 class="head-count" aria-live="polite">
        {w.selected(seqs.length)}
      </h1>
      <span class="head-room" />
      <IconButton
        icon="forward"
        label={w.forward}
        disabled={seqs.length > MOST_FORWARDED}
        onClick={() => (forwarding.value = seqs.map((seq) => ({ log, seq })))}
      />
      <IconButton icon="trash" label={w.remove} onClick={() => void removeForMe(log, seqs)} />
    </header>
  );
}

/** The pinned messages, one at a time: each click jumps to one and turns to the next. */
export function Pins({ row, store, goTo }: { row: InboxRow; store: ThreadStore; goTo: (seq: number) => void }) {
  const w = words();
  const pins = stateOf(row).pins ?? [];
  const [turn, setTurn] = useState(0);
  if (pins.length === 0) return null;
  const n = pins.length - 1 - (turn % pins.length);
  const seq = pins[n] ?? 0;
  const line = store.lineOf(seq);
  return (
    <div class="pins">
      <button
        type="button"
        class="pins-main"
        title={pins.length > 1 ? w.nextPin : undefined}
        onClick={() => {
          goTo(seq);
          setTurn(turn + 1);
        }}
      >
        <span class="pins-marks" aria-hidden="true">
          {pins.slice(-4).map((_, k) => (
            <i key={k} class={k === Math.min(3, pins.length - 1) - (turn % Math.min(4, pins.length)) ? "pins-now" : ""} />
          ))}
        </span>
        <Icon name="pin" size={18} class="pins-icon" />
        <span class="pins-words">
          <b>{pins.length > 1 ? w.pinnedOf(n + 1, pins.length) : w.pinned}</b>
          <span class="ellipsis">{line || "…"}</span>
        </span>
      </button>
    </div>
  );
}
