import type { ComponentChildren } from "preact";
import { Marked } from "../find/Marked.js";
import { me, type Person, UserAvatar } from "../session/index.js";
import { dictionary } from "../ui/index.js";

const words = dictionary({ you: "you" }, { you: "我" });

export interface PersonRowProps {
  person: Person;
  /** Marked in name and id. */
  query?: string;
  onClick?: (e: MouseEvent) => void;
  /** After the name: a role, a tick. */
  children?: ComponentChildren;
  /** Shown as chosen, in a list where one chooses several. */
  checked?: boolean;
  disabled?: boolean;
  presence?: boolean;
}

/** A person in a list: a button where something is done on click. */
export function PersonRow(props: PersonRowProps) {
  const { person, query = "" } = props;
  const name = person.name || person.user;
  const inside = (
    <>
      <UserAvatar user={person.user} size={40} presence={props.presence} />
      <span class="hit-main">
        <span class="hit-title ellipsis">
          <Marked text={name} query={query} />
          {person.user === me.value?.user && <span class="hit-you"> ({words().you})</span>}
        </span>
        {name !== person.user && (
          <span class="hit-id ellipsis">
            <Marked text={`@${person.user}`} query={query} />
          </span>
        )}
      </span>
    </>
  );
  if (!props.onClick) {
    return (
      <li class="hit hit-still">
        {inside}
        {props.children}
      </li>
    );
  }
  return (
    <li class={props.children ? "hit-with" : ""}>
      <button
        type="button"
        class="hit hit-one"
        role={props.checked === undefined ? undefined : "checkbox"}
        aria-checked={props.checked}
        disabled={props.disabled}
        onClick={props.onClick}
      >
        {inside}
        {props.checked !== undefined && <span class={`pick ${props.checked ? "pick-on" : ""}`} aria-hidden="true" />}
      </button>
      {props.children}
    </li>
  );
}
