/** One conversation: header, messages, composer. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useSignal, useSignalEffect } from "@preact/signals";
import { jump, me, nameOf, rows, entryLine, status } from "../session/index.js";
import { Button, dayName, dayOf, EmptyState, Icon, Spinner, toast } from "../ui/index.js";
import { edit, mayEdit, messageMenu } from "./actions.js";
import { Composer } from "./Composer.js";
import { EmojiHost } from "./EmojiPicker.js";
import { forwarding, inspected, lit, resetFocus, selection } from "./focus.js";
import { FloatingDay } from "./Floating.js";
import { ForwardDialog } from "./Forward.js";
import { Header, Pins } from "./Header.js";
import { reachOf } from "./folded.js";
import { guess } from "./guess.js";
import { InfoDialog } from "./Info.js";
import type { Item, MessageItem } from "./items.js";
import { LightboxHost, pictures } from "./Lightbox.js";
import { Message, Pending } from "./Message.js";
import { noteOf } from "./notes.js";
import { ReadCursor } from "./reading.js";
import { Scroller, type ScrollerHandle } from "./Scroller.js";
import { offerFiles, SendFilesHost } from "./SendFiles.js";
import { ThreadStore } from "./store.js";
import { words } from "./words.js";
import "./thread.css";
import "./message.css";
import "./reactions.css";
import "./content.css";
import "./lightbox.css";
import "./composer.css";

const PATIENCE = 2000; // ms without a connection before an empty thread says why
const LIT = 1800; // ms that a message is lit after a jump

export function Thread({ log }: { log: string }) {
  const store = useMemo(() => new ThreadStore(log), [log]);
  const scroller = useRef<ScrollerHandle>(null);
  const reading = useMemo(() => new ReadCursor(log), [log]);
  const [away, setAway] = useState(false); // the end is not in view
  const [missed, setMissed] = useState(0); // messages of others that came meanwhile
  const day = useSignal<{ day: number } | null>(null);
  const row = rows.value.get(log);

  useEffect(() => {
    void store.open();
    reading.listen();
    return () => {
      store.close();
      reading.close();
      resetFocus();
    };
  }, [store]);

  const goTo = async (seq: number) => {
    const held = await store.reach(seq);
    const item = store.items.peek().find((i) => (i.kind === "message" || i.kind === "note") && seqOf(i) >= seq);
    if (!held || !item) {
      toast(words().notFound, { kind: "bad" });
      return;
    }
    requestAnimationFrame(() => scroller.current?.toKey(item.key));
    lit.value = seqOf(item);
    setTimeout(() => lit.value === seqOf(item) && (lit.value = 0), LIT);
  };

  const toEnd = async () => {
    await store.toEnd();
    setMissed(0);
    requestAnimationFrame(() => scroller.current?.toEnd());
  };

  // Somebody outside (search, calendar) wants a place of this log.
  useSignalEffect(() => {
    const wanted = jump.value;
    if (wanted?.log !== log || !store.ready.value) return;
    jump.value = null;
    void goTo(wanted.to.seq);
  });

  useSignalEffect(() => {
    const entry = store.heard.value;
    if (entry && scroller.current && !scroller.current.atEnd) setMissed((n) => n + 1);
  });

  const lineAt = (seq: number) => store.lineOf(seq);
  const editLast = () => {
    const mine = store.items.peek().filter((i): i is MessageItem => i.kind === "message" && mayEdit(i, log));
    const last = mine.at(-1);
    if (last) edit(last);
    return Boolean(last);
  };

  useEffect(() => {
    pictures.value = () =>
      store.items.peek().flatMap((i) => {
        if (i.kind !== "message" || i.recalled || i.body.content?.type !== "image") return [];
        const { blob, caption = "", preview } = i.body.content;
        return [{ log, seq: i.seq, blob, caption, preview: preview ?? "", from: i.from, at: i.at }];
      });
  }, [store]);

  const draw = (item: Item) => <Row log={log} item={item} store={store} goTo={goTo} lineAt={lineAt} />;
  const items = store.items.value;
  const below = Math.max(missed, away ? (row?.unread ?? 0) : 0);

  return (
    <DropZone log={log} disabled={!row?.role}>
      <Header row={row} log={log} />
      {row && <Pins row={row} store={store} goTo={(seq) => void goTo(seq)} />}
      <div class="thread-main">
        {!store.ready.value ? (
          <Waiting store={store} />
        ) : items.length === 0 ? (
          <EmptyState icon="smile" title={words().empty}>
            {row?.role ? words().emptyMore : ""}
          </EmptyState>
        ) : (
          <Scroller
            handle={scroller}
            items={items}
            estimate={guess}
            draw={draw}
            startKey={items.some((i) => i.kind === "unread") ? "unread" : undefined}
            label={words().messages}
            busy={store.busy.value !== ""}
            follow={store.live.value}
            onNearTop={() => void store.older()}
            onNearEnd={() => void store.newer()}
            onSeen={(firstKey, key, atEnd) => {
              const last = items.find((i) => i.key === key);
              if (!atEnd) day.value = dayAt(items.find((i) => i.key === firstKey));
              setAway(!(atEnd && store.live.peek()));
              if (atEnd) setMissed(0);
              reading.seen(atEnd && store.live.peek() ? store.high : last ? seqOf(last) : 0);
            }}
            onKeyDown={(e) => feedKeys(e, log, store, scroller.current)}
          />
        )}
        <FloatingDay day={day} />
        {store.busy.value === "older" && (
          <span class="thread-busy">
            <Spinner size="s" />
          </span>
        )}
        {away && store.ready.value && items.length > 0 && (
          <button
            type="button"
            class="to-end"
            aria-label={below ? words().toEndNew(below) : words().toEnd}
            title={words().toEnd}
            onClick={() => void toEnd()}
          >
            {below > 0 && <span class="to-end-n">{below > 999 ? "999+" : below}</span>}
            <Icon name="down" size={22} />
          </button>
        )}
      </div>
      {row && (
        <Composer
          log={log}
          sent={() => {
            store.dropUnreadLine();
            void toEnd();
          }}
          editLast={editLast}
        />
      )}
      <Announcer store={store} />
      <SendFilesHost />
      <EmojiHost />
      <LightboxHost />
      {forwarding.value && <ForwardDialog sources={forwarding.value} />}
      {inspected.value && <InfoDialog log={log} item={inspected.value} />}
    </DropZone>
  );
}

function seqOf(item: Item): number {
  if (item.kind === "message") return item.seq;
  return item.kind === "note" ? item.entry.seq : 0;
}

/** The day of a row, for the pill above; none where the day's own line is on top. */
function dayAt(item: Item | undefined): { day: number } | null {
  if (item?.kind === "message" || item?.kind === "pending") return { day: dayOf(item.at) };
  return item?.kind === "note" ? { day: dayOf(item.entry.at) } : null;
}

/** Read aloud what others write. */
function Announcer({ store }: { store: ThreadStore }) {
  const entry = store.heard.value;
  return (
    <p class="unseen" role="status" aria-live="polite">
      {entry ? words().said(nameOf(entry.from), entryLine(entry)) : ""}
    </p>
  );
}

function Waiting({ store }: { store: ThreadStore }) {
  const w = words();
  const error = store.error.value;
  const cut = status.value.state !== "open";
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    const timer = cut ? setTimeout(() => setLate(true), PATIENCE) : 0;
    return () => clearTimeout(timer);
  }, [cut]);
  if (!error && cut && late) return <EmptyState icon="cloudOff" title={w.offlineEmpty} />;
  if (!error) {
    return (
      <div class="thread-wait">
        <Spinner />
      </div>
    );
  }
  return (
    <EmptyState icon="cloudOff" title={cut ? w.offlineEmpty : w.loadFailed}>
      <p>{error}</p>
      <Button onClick={() => void store.open()}>{w.again}</Button>
    </EmptyState>
  );
}

interface RowProps {
  log: string;
  item: Item;
  store: ThreadStore;
  goTo: (seq: number) => void;
  lineAt: (seq: number) => string;
}

function Row({ log, item, store, goTo, lineAt }: RowProps) {
  switch (item.kind) {
    case "day":
      return (
        <p class="note note-day">
          <span class="note-text">{dayName(item.day)}</span>
        </p>
      );
    case "unread":
      return <p class="unread-line">{words().unread}</p>;
    case "note":
      return (
        <p class="note" data-seq={item.entry.seq}>
          <span class="note-text">{noteOf(item.entry)}</span>
        </p>
      );
    case "pending":
      return <Pending log={log} item={item} goTo={goTo} lineAt={lineAt} />;
    default: {
      const notes = log.endsWith(`/${me.value?.user}~${me.value?.user}`);
      const reach = item.own ? (notes ? "read" : reachOf(item.seq, store.others.value)) : null;
      return <Message log={log} item={item} reach={reach} goTo={goTo} lineAt={lineAt} />;
    }
  }
}

/** Arrows walk through the messages, Enter opens the menu of one. */
function feedKeys(e: KeyboardEvent, log: string, store: ThreadStore, scroller: ScrollerHandle | null): void {
  const on = (e.target as Element).closest<HTMLElement>("article[data-seq]");
  const messages = store.items.peek().filter((i): i is MessageItem => i.kind === "message");
  const now = on ? messages.findIndex((m) => m.seq === Number(on.dataset["seq"])) : -1;
  const item = messages[now];
  if (item && e.target === on && (e.key === "Enter" || e.key === " " || e.key === "ContextMenu")) {
    e.preventDefault();
    const bubble = on?.querySelector(".bubble") ?? on;
    if (bubble) messageMenu(log, item, bubble);
    return;
  }
  if (e.key === "Escape" && selection.peek()) {
    selection.value = null;
    return;
  }
  if (e.key !== "ArrowUp" && e.key !== "ArrowDown") return;
  const to = now < 0 ? messages.length - 1 : now + (e.key === "ArrowDown" ? 1 : -1);
  const next = messages[to];
  if (!next || !scroller) return;
  e.preventDefault();
  scroller.toKey(next.key, "near");
  requestAnimationFrame(() => {
    scroller.element(next.key)?.querySelector<HTMLElement>("article")?.focus({ preventScroll: true });
  });
}

/** Files that are dragged over the thread may be let go anywhere on it. */
function DropZone(props: { log: string; disabled: boolean; children: preact.ComponentChildren }) {
  const [over, setOver] = useState(false);
  const depth = useRef(0);
  const files = (e: DragEvent) => !props.disabled && e.dataTransfer?.types.includes("Files");
  return (
    <section
      class="thread"
      onDragEnter={(e) => {
        if (!files(e)) return;
        depth.current += 1;
        setOver(true);
      }}
      onDragLeave={() => {
        depth.current = Math.max(0, depth.current - 1);
        if (depth.current === 0) setOver(false);
      }}
      onDragOver={(e) => files(e) && e.preventDefault()}
      onDrop={(e) => {
        depth.current = 0;
        setOver(false);
        if (!files(e)) return;
        e.preventDefault();
        offerFiles(props.log, [...(e.dataTransfer?.files ?? [])]);
      }}
    >
      {props.children}
      {over && (
        <div class="drop" aria-hidden="true">
          <Icon name="attach" size={40} />
          <b>{words().dropHere}</b>
        </div>
      )}
    </section>
  );
}
