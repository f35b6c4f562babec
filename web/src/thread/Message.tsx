/** One message: bubble, state, reactions, and the ways to its menu. */

import { memo } from "preact/compat";
import { useRef } from "preact/hooks";
import { client, entryLine, isGroup, me, nameOf, UserAvatar, type MessageBody } from "../session/index.js";
import { clockTime, fullWhen, hue, Icon, IconButton, Spinner } from "../ui/index.js";
import { messageMenu, personMenu, react, reply } from "./actions.js";
import { ContentBody, isPicture } from "./Content.js";
import { composer, lit, recalledTexts, selection, task, toggleSelected } from "./focus.js";
import { type Reach, reactionsOf } from "./folded.js";
import type { MessageItem, PendingItem } from "./items.js";
import { nameIn } from "./members.js";
import { isBigEmoji } from "./linkify.js";
import { cancelUpload, retryUpload, uploads } from "./uploads.js";
import { words } from "./words.js";

const LONG_PRESS = 450; // ms
const MOVED = 10; // px: a press that moves is a scroll

/** Props of a stored message. */
export interface MessageProps {
  log: string;
  item: MessageItem;
  reach: Reach | null;
  goTo: (seq: number) => void;
  /** The message that a reply answers, when it is held. */
  lineAt: (seq: number) => string;
}

function bubbleClass(body: MessageBody, own: boolean): string {
  const { content } = body;
  const pic = isPicture(content);
  const caption = content && "caption" in content && content.caption;
  const big = content?.type === "text" && !body.reply && !body.forward && isBigEmoji(content.text);
  return ["bubble", own ? "bubble-own" : "", pic ? "bubble-pic" : "", pic && !caption ? "bubble-bare" : "",
    big ? "bubble-big" : ""].filter(Boolean).join(" ");
}

/** Call `open` for a right click, a long press, or the menu key. */
function usePress(open: (at: { x: number; y: number } | Element, href: string) => void) {
  const timer = useRef(0);
  const start = useRef({ x: 0, y: 0 });
  const stop = () => clearTimeout(timer.current);
  return {
    onContextMenu: (e: MouseEvent) => {
      const link = (e.target as Element).closest("a");
      if (e.shiftKey) return; // the browser's own menu
      e.preventDefault();
      stop();
      const keyed = e.clientX === 0 && e.clientY === 0;
      open(keyed ? (e.currentTarget as Element) : { x: e.clientX, y: e.clientY }, link?.href ?? "");
    },
    onPointerDown: (e: PointerEvent) => {
      if (e.pointerType === "mouse") return;
      start.current = { x: e.clientX, y: e.clientY };
      const at = { x: e.clientX, y: e.clientY };
      timer.current = window.setTimeout(() => open(at, ""), LONG_PRESS);
    },
    onPointerMove: (e: PointerEvent) => {
      if (Math.hypot(e.clientX - start.current.x, e.clientY - start.current.y) > MOVED) stop();
    },
    onPointerUp: stop,
    onPointerCancel: stop,
  };
}

export const Message = memo(function Message(props: MessageProps) {
  const { log, item } = props;
  const picking = selection.value;
  const picked = picking?.has(item.seq) ?? false;
  const w = words();
  const press = usePress((at, href) => messageMenu(log, item, at, href));
  const group = isGroup(log);
  if (item.recalled) return <Recalled {...props} press={press} />;
  const bare = isPicture(item.body.content);
  return (
    <article
      class={`msg ${item.own ? "msg-own" : ""} ${item.first ? "msg-first" : ""} ${item.last ? "msg-last" : ""} ${
        picking ? "msg-picking" : ""} ${picked ? "msg-picked" : ""} ${lit.value === item.seq ? "msg-lit" : ""}`}
      data-seq={item.seq}
      tabIndex={-1}
      aria-label={w.said(nameOf(item.from), `${entryLine({ ...item.shown.entry, body: item.shown.body })}, ${clockTime(item.at)}`)}
      onClick={picking ? () => toggleSelected(item.seq) : undefined}
      {...press}
    >
      {picking && (
        <span class="msg-check" aria-hidden="true">
          {picked && <Icon name="check" size={15} />}
        </span>
      )}
      {group && !item.own && (
        <span class="msg-face">
          {item.last && (
            <button
              type="button"
              class="msg-who"
              onClick={(e) => personMenu(log, item.from, e.currentTarget)}
            >
              <UserAvatar user={item.from} size={36} />
              <span class="unseen">{nameIn(log, item.from)}</span>
            </button>
          )}
        </span>
      )}
      <div class="msg-body">
        <div class={bubbleClass(item.body, item.own)}>
          {group && !item.own && item.first && (
            <b class={`msg-name name-${hue(item.from)}`}>{nameIn(log, item.from)}</b>
          )}
          {item.body.forward && (
            <p class="msg-forward">{w.forwardedFrom(nameOf(item.body.forward.author))}</p>
          )}
          <Reply body={item.body} goTo={props.goTo} lineAt={props.lineAt} />
          <ContentBody body={item.body} where={{ log, seq: item.seq }} />
          <Meta at={item.at} edited={item.edited} over={bare} spaced={item.body.content?.type === "text"}>
            {item.own && props.reach && <Ticks reach={props.reach} />}
          </Meta>
          <Reactions log={log} item={item} />
        </div>
        {!picking && (
          <div class="msg-tools">
            <IconButton icon="reply" size={18} label={w.reply} onClick={() => reply(item)} />
            <IconButton icon="more" size={18} label={w.more} onClick={(e) => messageMenu(log, item, e.currentTarget as Element)} />
          </div>
        )}
      </div>
    </article>
  );
}, (a, b) => a.reach === b.reach && a.log === b.log && sameItem(a.item, b.item));

/** Whether two rows look the same. */
function sameItem(a: MessageItem, b: MessageItem): boolean {
  return a.key === b.key && a.shown === b.shown && a.first === b.first && a.last === b.last && a.seq === b.seq;
}

function Recalled({ log, item, press }: MessageProps & { press: ReturnType<typeof usePress> }) {
  const w = words();
  const text = item.own ? recalledTexts.get(`${log}:${item.seq}`) : undefined;
  return (
    <article class="note" data-seq={item.seq} tabIndex={-1} {...press}>
      <span class="note-text">
        {item.from === me.value?.user ? w.youRecalled : w.recalled(nameOf(item.from))}
        {text && (
          <button
            type="button"
            class="note-do"
            onClick={() => {
              task.value = null;
              composer.replace(text);
            }}
          >
            {w.editAgain}
          </button>
        )}
      </span>
    </article>
  );
}

export function Reply(props: { body: MessageBody; goTo?: (seq: number) => void; lineAt?: (seq: number) => string }) {
  const { reply: to } = props.body;
  if (!to) return null;
  return (
    <button type="button" class={`msg-reply bar-${hue(to.author)}`} onClick={() => props.goTo?.(to.seq)}>
      <b class={`ellipsis name-${hue(to.author)}`}>{nameOf(to.author)}</b>
      <span class="ellipsis">{to.quote || props.lineAt?.(to.seq) || "…"}</span>
    </button>
  );
}

function Meta(props: { at: number; edited: boolean; over: boolean; spaced: boolean; children?: preact.ComponentChildren }) {
  const inner = (
    <>
      {props.edited && <span>{words().edited}</span>}
      <time dateTime={new Date(props.at).toISOString()} title={fullWhen(props.at)}>
        {clockTime(props.at)}
      </time>
      {props.children}
    </>
  );
  return <span class={`meta ${props.over ? "meta-over" : ""}`}>{inner}</span>;
}

export function Ticks({ reach }: { reach: Reach }) {
  const w = words();
  const label = { stored: w.stored, delivered: w.delivered, read: w.read }[reach];
  return (
    <svg class={`ticks ${reach === "read" ? "ticks-read" : ""}`} width="17" height="12" viewBox="0 0 17 12" role="img" aria-label={label}>
      <path
        d={reach === "stored" ? "M4 6.500l3 3L13 3" : "M1 6.500l3 3L10 3M6.800 8.800l.8.7L15 3"}
        fill="none" stroke="currentColor" stroke-width="1.600" stroke-linecap="round" stroke-linejoin="round"
      />
    </svg>
  );
}

function Reactions({ log, item }: { log: string; item: MessageItem }) {
  const self = me.value?.user ?? "";
  const found = reactionsOf(item.shown, self);
  if (found.length === 0) return null;
  return (
    <div class="reactions">
      {found.map((r) => (
        <button
          key={r.emoji}
          type="button"
          class={`reaction ${r.mine ? "reaction-mine" : ""}`}
          aria-pressed={r.mine}
          aria-label={words().reactedBy(`${r.emoji} ${r.users.length}`, r.users.map(nameOf).join(", "))}
          title={r.users.map(nameOf).join(", ")}
          onClick={(e) => {
            e.stopPropagation();
            react(log, item, r.emoji, !r.mine);
          }}
        >
          <span class="reaction-emoji">{r.emoji}</span>
          <span>{r.users.length}</span>
        </button>
      ))}
    </div>
  );
}

/** An own message that the server does not have yet. */
export function Pending({ log, item, goTo, lineAt }: { log: string; item: PendingItem; goTo: (seq: number) => void; lineAt: (seq: number) => string }) {
  const w = words();
  const upload = item.upload ? uploads.value.find((u) => u.id === item.upload) : undefined;
  const failed = item.sending === "failed";
  const state = failed ? w.failed : item.sending === "queued" ? w.waiting : w.sending;
  const retry = () => (upload ? retryUpload(upload.id) : client().retry(item.op));
  const discard = () => {
    if (upload) void cancelUpload(upload.id);
    else client().discard(item.op);
  };
  return (
    <article
      class={`msg msg-own ${item.first ? "msg-first" : ""} ${item.last ? "msg-last" : ""} ${failed ? "msg-failed" : ""}`}
      tabIndex={-1}
      aria-label={state}
    >
      <div class="msg-body">
        <div class={bubbleClass(item.body, true)}>
          <Reply body={item.body} goTo={goTo} lineAt={lineAt} />
          <ContentBody body={item.body} where={{ log, seq: 0 }} />
          {upload && !failed && <Progress part={upload.progress} cancel={discard} />}
          <Meta at={item.at} edited={false} over={isPicture(item.body.content)} spaced={item.body.content?.type === "text"}>
            <span class="meta-state" role="img" aria-label={state} title={state}>
              <Icon name={failed ? "warn" : "clock"} size={13} />
            </span>
          </Meta>
        </div>
        {failed && (
          <div class="msg-fail" role="alert">
            <span>{item.error ? `${w.failed}: ${item.error}` : w.failed}</span>
            <button type="button" onClick={retry}>{w.retry}</button>
            <button type="button" onClick={discard}>{w.discard}</button>
          </div>
        )}
      </div>
    </article>
  );
}

function Progress({ part, cancel }: { part: number; cancel: () => void }) {
  const percent = Math.round(part * 100);
  return (
    <div class="progress">
      <div class="progress-bar" role="progressbar" aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100} aria-label={words().uploading(percent)}>
        <span style={{ width: `${percent}%` }} />
      </div>
      {part >= 1 ? <Spinner size="s" /> : <small>{percent} %</small>}
      <IconButton icon="close" size={16} label={words().cancelUpload} onClick={cancel} />
    </div>
  );
}
