/** Search beside a conversation: in this one or in all, and the way to a day. */

import { useEffect, useRef, useState } from "preact/hooks";
import { currentLog, panel } from "../session/index.js";
import { Button, EmptyState, Icon, IconButton, Spinner } from "../ui/index.js";
import { arrows } from "./arrows.js";
import { DateDialog } from "./DateDialog.js";
import { HitRow } from "./HitRow.js";
import { useSearch } from "./searching.js";
import { words } from "./words.js";
import "./find.css";

export function SearchPanel() {
  const w = words();
  const log = currentLog.value;
  const [text, setText] = useState("");
  const [everywhere, setEverywhere] = useState(false);
  const [dates, setDates] = useState(false);
  const [found, more] = useSearch(text, everywhere ? "" : log);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const close = () => (panel.value = null);
  const settled = !found.busy && found.text === text.trim();
  return (
    <div
      class="search"
      onKeyDown={(e) => {
        if (e.key === "Escape" && !e.defaultPrevented && !dates) close();
      }}
    >
      <header class="side-head">
        <div class="list-find">
          <Icon name="search" size={18} />
          <input
            type="search"
            aria-label={w.search}
            placeholder={w.search}
            autocomplete="off"
            spellcheck={false}
            value={text}
            ref={input}
            onInput={(e) => setText(e.currentTarget.value)}
            onKeyDown={(e) => arrows(e, e.currentTarget.closest(".search"))}
          />
        </div>
        <IconButton icon="calendar" label={w.date} onClick={() => setDates(true)} />
        <IconButton icon="close" label={w.close} onClick={close} />
      </header>
      <div class="search-scope" role="group" aria-label={w.scope}>
        {[false, true].map((all) => (
          <button
            key={String(all)}
            type="button"
            class="list-filter"
            aria-pressed={everywhere === all}
            onClick={() => setEverywhere(all)}
          >
            {all ? w.all : w.here}
          </button>
        ))}
      </div>
      <div class="list-scroll" onKeyDown={(e) => arrows(e, e.currentTarget, input.current)}>
        {!text.trim() && (
          <EmptyState icon="search" title={w.start}>
            {w.startMore}
          </EmptyState>
        )}
        <p class="unseen" role="status">
          {settled && text.trim() ? w.count(found.hits.length, found.more) : ""}
        </p>
        {found.error && (
          <p class="found-note" role="alert">
            {found.error}
          </p>
        )}
        {settled && !found.error && text.trim() !== "" && found.hits.length === 0 && (
          <EmptyState icon="search" title={w.nothing}>
            {w.noMessages(text.trim())}
          </EmptyState>
        )}
        <ul>
          {found.hits.map((hit) => (
            <HitRow key={`${hit.log} ${hit.entry.seq}`} hit={hit} query={found.text} place={everywhere} />
          ))}
        </ul>
        {found.busy && (
          <div class="found-note">
            <Spinner size="s" label={w.busy} />
          </div>
        )}
        {found.more && !found.busy && (
          <div class="found-note">
            <Button onClick={more}>{w.more}</Button>
          </div>
        )}
      </div>
      {dates && <DateDialog log={log} onClose={() => setDates(false)} />}
    </div>
  );
}
