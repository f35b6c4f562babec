/** Choose several people. */

import { useState } from "preact/hooks";
import type { Person } from "../session/index.js";
import { Icon, Input, Spinner } from "../ui/index.js";
import { arrows } from "../find/arrows.js";
import { contacts, usePeople } from "./finding.js";
import { PersonRow } from "./PersonRow.js";
import { words } from "./words.js";
import "../find/find.css";
import "./people.css";

export interface PeoplePickerProps {
  chosen: readonly Person[];
  onChange: (chosen: Person[]) => void;
  /** Not offered: they are there already. */
  without?: ReadonlySet<string>;
}

export function PeoplePicker({ chosen, onChange, without }: PeoplePickerProps) {
  const w = words();
  const [text, setText] = useState("");
  const people = usePeople(text);
  const searching = text.trim() !== "";
  const offered = (searching ? people.found : contacts()).filter((p) => !without?.has(p.user));
  const ids = new Set(chosen.map((p) => p.user));
  const toggle = (person: Person) => {
    if (ids.has(person.user)) onChange(chosen.filter((p) => p.user !== person.user));
    else onChange([...chosen, person]);
    if (searching) setText("");
  };
  return (
    <div class="picker">
      {chosen.length > 0 && (
        <ul class="chips" aria-label={w.chosen(chosen.length)}>
          {chosen.map((p) => (
            <li key={p.user}>
              <button type="button" class="chip" aria-label={w.takeOut(p.name || p.user)} onClick={() => toggle(p)}>
                <span class="ellipsis">{p.name || p.user}</span>
                <Icon name="close" size={14} />
              </button>
            </li>
          ))}
        </ul>
      )}
      <Input
        quiet
        label={w.find}
        placeholder={w.find}
        type="search"
        autofocus
        value={text}
        onInput={setText}
        onKeyDown={(e) => {
          const first = offered[0];
          if (e.key === "Enter" && !e.isComposing && searching && first && !people.busy) {
            e.preventDefault();
            toggle(first);
          } else if (e.key === "ArrowDown") arrows(e, (e.currentTarget as Element).closest(".picker"));
          else if (e.key === "Backspace" && !text && chosen.length) onChange(chosen.slice(0, -1));
        }}
      />
      <PeopleList
        people={offered}
        query={text}
        busy={people.busy}
        error={people.error}
        pick={toggle}
        checked={(user) => ids.has(user)}
      />
    </div>
  );
}

export interface PeopleListProps {
  people: readonly Person[];
  query: string;
  busy: boolean;
  error: string;
  pick: (person: Person) => void;
  checked?: (user: string) => boolean;
}

/** People to choose from, with what is said when there is nobody. */
export function PeopleList(props: PeopleListProps) {
  const w = words();
  const wanted = props.query.trim();
  return (
    <section
      class="people-list"
      onKeyDown={(e) => arrows(e, e.currentTarget)}
      aria-busy={props.busy}
    >
      <h3 class="found-head">{wanted ? w.found : w.contacts}</h3>
      {props.error && (
        <p class="found-note" role="alert">
          {props.error}
        </p>
      )}
      <ul>
        {props.people.map((person) => (
          <PersonRow
            key={person.user}
            person={person}
            query={wanted}
            presence
            checked={props.checked?.(person.user)}
            onClick={() => props.pick(person)}
          />
        ))}
      </ul>
      {props.busy && (
        <div class="found-note">
          <Spinner size="s" />
        </div>
      )}
      {!props.busy && !props.error && props.people.length === 0 && (
        <p class="found-note">{wanted ? w.nobody(wanted) : w.noContacts}</p>
      )}
    </section>
  );
}
