/** Where messages are written. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ADMIN, client, isGroup, me, nameOf, peerOf, rows, settingsOf, stateOf, titleOf, UserAvatar } from "../session/index.js";
import { Icon, IconButton } from "../ui/index.js";
import { call, tell } from "./actions.js";
import { draftOf, setDraft } from "./drafts.js";
import { openEmoji } from "./EmojiPicker.js";
import { composeNow, composer, task } from "./focus.js";
import { offerFiles } from "./SendFiles.js";
import { mentionables } from "./members.js";
import { askedAt, complete, fitting, mentionedIn, type Mentionable } from "./mentions.js";
import { Recorder } from "./Recorder.js";
import { words } from "./words.js";

const LONGEST = 8000;
const WARN = 7600; // characters from which the rest is counted
const TYPING_EVERY = 3000; // ms between two signals that one is typing
const HIGHEST = 220; // px that the field grows to

/** Why nothing can be written here; "" when it can. */
function barred(log: string): string {
  const w = words();
  const row = rows.value.get(log);
  if (!row) return "";
  const state = stateOf(row);
  if (state.dissolved_at) return w.dissolved;
  if (!row.role) return w.gone;
  return state.mute_all && row.role < ADMIN ? w.mutedAll : "";
}

export function Composer({ log, sent, editLast }: { log: string; sent: () => void; editLast: () => boolean }) {
  const why = barred(log);
  const [recording, setRecording] = useState(false);
  if (why) return <p class="composer composer-barred">{why}</p>;
  if (recording) return <Recorder log={log} done={() => setRecording(false)} />;
  return <Writing log={log} sent={sent} editLast={editLast} record={() => setRecording(true)} />;
}

function canRecord(): boolean {
  return typeof MediaRecorder !== "undefined" && Boolean(navigator.mediaDevices);
}

function Writing(props: { log: string; sent: () => void; editLast: () => boolean; record: () => void }) {
  const { log } = props;
  const w = words();
  const field = useRef<HTMLTextAreaElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(() => draftOf(log));
  const [caret, setCaret] = useState(text.length);
  const [chosen, setChosen] = useState(0);
  const [shut, setShut] = useState(-1); // where an "@" was whose list was closed by Esc
  const picked = useRef<Mentionable[]>([]);
  const typed = useRef(0);
  const before = useRef("");
  const doing = task.value;
  const row = rows.value.get(log);

  const put = (next: string, at = next.length) => {
    setText(next);
    setCaret(at);
    setChosen(0);
    if (task.peek()?.kind !== "edit") setDraft(log, next);
    queueMicrotask(() => field.current?.setSelectionRange(at, at));
  };

  // Another task: an edit takes the place of the draft, and gives it back.
  const editing = doing?.kind === "edit" ? doing.seq : 0;
  useEffect(() => {
    if (doing?.kind === "edit") {
      before.current = text;
      picked.current = doing.mentions.map((user) => ({ user, name: nameOf(user) }));
      put(doing.text);
      return () => put(before.current);
    }
    return undefined;
  }, [editing]);

  useEffect(() => {
    if (!matchMedia("(pointer: coarse)").matches || composeNow.peek()) field.current?.focus();
    composer.replace = (again) => {
      put(again);
      field.current?.focus();
    };
    return () => {
      setDraft(log, draftOf(log), true);
      signalTyping(false);
    };
  }, []);
  const wanted = composeNow.value;
  useEffect(() => {
    if (wanted) field.current?.focus();
  }, [wanted]);

  // Another device wrote on: take it over while nobody writes here.
  const draft = row ? settingsOf(row).draft : "";
  useEffect(() => {
    const now = draftOf(log);
    if (!editing && now !== text && document.activeElement !== field.current) {
      setText(now);
      setCaret(now.length);
    }
  }, [draft]);

  useLayoutEffect(() => {
    const el = field.current;
    if (!el) return;
    el.style.height = "0";
    el.style.height = `${Math.min(HIGHEST, el.scrollHeight)}px`;
  }, [text]);

  const signalTyping = (on: boolean) => {
    const now = Date.now();
    if (on ? now - typed.current < TYPING_EVERY : typed.current === 0) return;
    typed.current = on ? now : 0;
    client().signal(log, "typing", { on });
  };

  const asked = isGroup(log) ? askedAt(text, caret) : null;
  const everyone = row && row.role >= ADMIN ? [{ user: "", name: w.everyone }] : [];
  const offers =
    asked && asked.from !== shut ? fitting(asked.query, [...everyone, ...mentionables(log)]) : [];

  const take = (m: Mentionable) => {
    if (!asked) return;
    picked.current = [...picked.current.filter((p) => p.name !== m.name), m];
    const next = complete(text, asked, m.name);
    put(next.text, next.caret);
    field.current?.focus();
  };

  const over = [...text].length - LONGEST;
  const ready = text.trim() !== "" && over <= 0;

  const submit = () => {
    if (!ready) return;
    const { mentions, all } = mentionedIn(text, [...picked.current, ...everyone]);
    const content = { type: "text", text: text.trim() };
    if (doing?.kind === "edit") {
      if (text.trim() !== doing.text) call(log, "chat.edit", { seq: doing.seq, content, mentions });
      task.value = null;
      return;
    }
    const args: Record<string, unknown> = { content };
    if (doing?.kind === "reply") {
      args["reply_to"] = doing.seq;
      if (doing.quote) args["quote"] = doing.quote;
    }
    if (mentions.length) args["mentions"] = mentions;
    if (all) args["mention_all"] = true;
    client().call("chat.send", args as never, { log }).catch(refusedSend);
    task.value = null;
    picked.current = [];
    put("");
    setDraft(log, "", true);
    typed.current = 0; // the message itself says that the typing is over
    props.sent();
  };

  const onKeyDown = (e: KeyboardEvent) => {
    if (e.isComposing || e.keyCode === 229) return; // an input method is choosing a word
    if (offers.length) {
      if (e.key === "ArrowDown" || e.key === "ArrowUp") {
        e.preventDefault();
        setChosen((chosen + (e.key === "ArrowDown" ? 1 : offers.length - 1)) % offers.length);
        return;
      }
      if ((e.key === "Enter" || e.key === "Tab") && !e.shiftKey) {
        e.preventDefault();
        const m = offers[chosen];
        if (m) take(m);
        return;
      }
      if (e.key === "Escape") {
        e.stopPropagation();
        setShut(asked?.from ?? -1);
        return;
      }
    }
    if (e.key === "Enter" && !e.shiftKey) {
      e.preventDefault();
      submit();
    } else if (e.key === "Escape" && doing) {
      e.stopPropagation();
      task.value = null;
    } else if (e.key === "ArrowUp" && text === "" && props.editLast()) e.preventDefault();
  };

  const insert = (what: string) => {
    const el = field.current;
    const from = el?.selectionStart ?? text.length;
    const to = el?.selectionEnd ?? from;
    put(text.slice(0, from) + what + text.slice(to), from + what.length);
  };

  const mine = (row && titleOf(row)) || nameOf(peerOf(log, me.value?.user ?? ""));
  composer.mention = (user, name) => {
    picked.current = [...picked.current.filter((p) => p.name !== name), { user, name }];
    insert(`@${name} `);
    field.current?.focus();
  };

  return (
    <div class="composer">
      {offers.length > 0 && (
        <ul class="offers" role="listbox" id="offers" aria-label={w.suggestions}>
          {offers.map((m, n) => (
            <li
              key={m.user}
              id={`offer-${n}`}
              role="option"
              aria-selected={n === chosen}
              class="offer"
              onMouseDown={(e) => {
                e.preventDefault();
                take(m);
              }}
            >
              {m.user ? <UserAvatar user={m.user} size={28} /> : <Icon name="users" size={24} />}
              <b class="ellipsis">{m.name}</b>
              <span class="ellipsis">{m.user ? m.user : w.everyoneHint}</span>
            </li>
          ))}
        </ul>
      )}
      <TaskBar />
      <div class="composer-row">
        <IconButton icon="attach" label={w.attach} onClick={() => files.current?.click()} />
        <input
          ref={files}
          type="file"
          multiple
          hidden
          onChange={(e) => {
            offerFiles(log, [...(e.currentTarget.files ?? [])]);
            e.currentTarget.value = "";
          }}
        />
        <textarea
          ref={field}
          class="composer-field"
          rows={1}
          value={text}
          placeholder={w.write}
          aria-label={w.writeTo(mine)}
          aria-controls={offers.length ? "offers" : undefined}
          aria-activedescendant={offers.length ? `offer-${chosen}` : undefined}
          aria-autocomplete={isGroup(log) ? "list" : undefined}
          dir="auto"
          enterkeyhint="send"
          onInput={(e) => {
            const el = e.currentTarget;
            setText(el.value);
            setCaret(el.selectionStart);
            setChosen(0);
            if (doing?.kind !== "edit") {
              setDraft(log, el.value);
              signalTyping(el.value.trim() !== "");
            }
          }}
          onSelect={(e) => setCaret(e.currentTarget.selectionStart)}
          onKeyDown={onKeyDown}
          onPaste={(e) => {
            const pasted = [...(e.clipboardData?.files ?? [])];
            if (pasted.length === 0) return;
            e.preventDefault();
            offerFiles(log, pasted);
          }}
        />
        {text.length > WARN && (
          <span class={`composer-count ${over > 0 ? "composer-over" : ""}`} role="status">
            {over > 0 ? w.tooLong(over) : -over}
          </span>
        )}
        <IconButton
          icon="smile"
          label={w.emoji}
          onClick={(e) => openEmoji(e.currentTarget as Element, insert, true)}
        />
        {ready || doing?.kind === "edit" || !canRecord() ? (
          <button type="button" class="send" disabled={!ready} aria-label={doing?.kind === "edit" ? w.save : w.send} title={w.send} onClick={submit}>
            <Icon name={doing?.kind === "edit" ? "check" : "send"} size={21} />
          </button>
        ) : (
          <IconButton icon="mic" label={w.record} onClick={props.record} />
        )}
      </div>
    </div>
  );
}

/** A refused send stays in the outbox and is shown in the thread: only what is not there is told. */
function refusedSend(error: unknown): void {
  const code = (error as { code?: number }).code;
  if (code === undefined) tell(error);
}

/** What is answered or edited, above the field. */
function TaskBar() {
  const w = words();
  const doing = task.value;
  if (!doing) return null;
  const edit = doing.kind === "edit";
  return (
    <div class="task">
      <Icon name={edit ? "edit" : "reply"} size={20} class="task-icon" />
      <p class="task-words">
        <b class="ellipsis">{edit ? w.editing : w.replyTo(nameOf(doing.author))}</b>
        <span class="ellipsis">{edit ? doing.text : doing.quote || doing.line}</span>
      </p>
      <IconButton icon="close" size={19} label={edit ? w.cancelEdit : w.cancelReply} onClick={() => (task.value = null)} />
    </div>
  );
}
