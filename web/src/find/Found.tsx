/** What the search box above the list finds: conversations, people, messages. */

import type { RefObject } from "preact";
import { useMemo } from "preact/hooks";
import { namesOf } from "../list/naming.js";
import { listed } from "../list/order.js";
import { PersonRow } from "../people/PersonRow.js";
import { startDirect, usePeople } from "../people/finding.js";
import { ChatAvatar, me, openChat, peerOf, rows, titleOf } from "../session/index.js";
import { Button, EmptyState, Spinner } from "../ui/index.js";
import { arrows } from "./arrows.js";
import { HitRow } from "./HitRow.js";
import { Marked } from "./Marked.js";
import { useSearch } from "./searching.js";
import { words } from "./words.js";
import "./find.css";

const MOST = 30; // conversations shown at once

export interface FoundProps {
  query: string;
  /** Called when something was chosen. */
  done: () => void;
  /** The search box: Up on the first result goes back to it. */
  input: RefObject<HTMLInputElement | null>;
}

export function Found({ query, done, input }: FoundProps) {
  const w = words();
  const chats = useMemo(() => listed(rows.value.values(), "all", query, namesOf).slice(0, MOST), [query, rows.value]);
  const [found, more] = useSearch(query, "");
  const people = usePeople(query);
  const self = me.value?.user ?? "";
  const known = new Set(chats.map((row) => peerOf(row.log, self)).filter(Boolean));
  const strangers = people.found.filter((p) => !known.has(p.user) && p.user !== self);
  const settled = !found.busy && !people.busy && found.text === query.trim();
  if (settled && !chats.length && !strangers.length && !found.hits.length && !found.error) {
    return (
      <EmptyState icon="search" title={w.nothing}>
        {w.nothingMore(query.trim())}
      </EmptyState>
    );
  }
  return (
    <div class="list-scroll found" onKeyDown={(e) => arrows(e, e.currentTarget, input.current)}>
      {chats.length > 0 && (
        <section>
          <h2 class="found-head">{w.chats}</h2>
          <ul>
            {chats.map((row) => (
              <li key={row.log}>
                <button
                  type="button"
                  class="hit hit-one"
                  onClick={() => {
                    openChat(row.log);
                    done();
                  }}
                >
                  <ChatAvatar row={row} size={40} presence />
                  <span class="hit-title ellipsis">
                    <Marked text={titleOf(row)} query={query} />
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
      {strangers.length > 0 && (
        <section>
          <h2 class="found-head">{w.people}</h2>
          <ul>
            {strangers.map((person) => (
              <PersonRow key={person.user} person={person} query={query} onClick={() => void startDirect(person.user, done)} />
            ))}
          </ul>
        </section>
      )}
      <section>
        <h2 class="found-head" aria-live="polite">
          {w.messages}
          {found.hits.length > 0 && ` · ${found.hits.length}${found.more ? "+" : ""}`}
        </h2>
        {found.error && <p class="found-note" role="alert">{found.error}</p>}
        <ul>
          {found.hits.map((hit) => (
            <HitRow key={`${hit.log} ${hit.entry.seq}`} hit={hit} query={found.text} place />
          ))}
        </ul>
        {found.busy && (
          <div class="found-note">
            <Spinner size="s" label={w.busy} />
          </div>
        )}
        {settled && !found.error && found.hits.length === 0 && <p class="found-note">{w.noMessages(query.trim())}</p>}
        {found.more && !found.busy && (
          <div class="found-note">
            <Button onClick={more}>{w.more}</Button>
          </div>
        )}
      </section>
    </div>
  );
}
