/** What the pages are built of. */

import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { Button, Icon, IconButton, Spinner, toast, type IconName } from "../ui/index.js";
import { wordsOf, type Loaded } from "./loading.js";
import { Offline, Refused } from "./session.js";
import { words } from "./words.js";

export interface CardProps {
  title?: string;
  /** Right of the title. */
  tools?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
  /** The content goes to the edge: tables. */
  flush?: boolean;
}

export function Card(props: CardProps) {
  const id = useId();
  return (
    <section
      class={`card ${props.flush ? "card-flush" : ""} ${props.class ?? ""}`}
      aria-labelledby={props.title ? id : undefined}
    >
      {(props.title || props.tools) && (
        <header class="card-head">
          {props.title && <h2 id={id}>{props.title}</h2>}
          {props.tools && <div class="card-tools">{props.tools}</div>}
        </header>
      )}
      <div class="card-main">{props.children}</div>
    </section>
  );
}

export type Tone = "plain" | "good" | "warn" | "bad" | "accent";

export function Pill({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`pill pill-${tone}`}>{children}</span>;
}

/** A presence with its dot. */
export function Presence({ state }: { state: string }) {
  const text = state === "online" ? words().online : state === "away" ? words().away : words().lost;
  return (
    <span class={`presence presence-${state}`}>
      <span class="presence-dot" />
      {text}
    </span>
  );
}

export interface Column<T> {
  head: string;
  cell: (row: T) => ComponentChildren;
  /** Numbers stand right. */
  right?: boolean;
  /** On a phone the cell stands first, without its head. */
  lead?: boolean;
  /** The head is for screen readers only. */
  quiet?: boolean;
}

export interface TableProps<T> {
  /** What the rows are: read aloud. */
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  id: (row: T) => string | number;
  empty: string;
  class?: string;
}

/** A table; on a phone each row is a small card with its heads in front of the values. */
export function Table<T>(props: TableProps<T>) {
  if (!props.rows.length) return <p class="empty-line">{props.empty}</p>;
  return (
    <div class="table-box" role="group" aria-label={props.label} tabIndex={0}>
      <table class={`table ${props.class ?? ""}`} role="table">
        <thead role="rowgroup">
          <tr role="row">
            {props.columns.map((column) => (
              <th key={column.head} role="columnheader" scope="col" class={column.right ? "right" : ""}>
                {column.quiet ? <span class="unseen">{column.head}</span> : column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {props.rows.map((row) => (
            <tr key={props.id(row)} role="row">
              {props.columns.map((column) => (
                <td
                  key={column.head}
                  role="cell"
                  class={`${column.right ? "right" : ""} ${column.lead ? "lead" : ""} ${column.quiet && column.right ? "act" : ""}`}
                >
                  <span class="cell-head" aria-hidden="true">
                    {!column.quiet && column.head}
                  </span>
                  <span class="cell-value">{column.cell(row)}</span>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Names and values. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Shows the value when it is there, and what is wrong when something is. */
export function Await<T>(props: { of: Loaded<T>; children: (value: T) => ComponentChildren }) {
  const { value, error, loading, again } = props.of;
  if (loading) {
    return (
      <div class="waiting">
        <Spinner />
      </div>
    );
  }
  return (
    <>
      {error && <Problem error={error} again={again} />}
      {value !== undefined && props.children(value)}
    </>
  );
}

export function Problem({ error, again }: { error: Refused | Offline; again?: () => void }) {
  const gone = error instanceof Refused && error.status === 404 && error.code === 0;
  return (
    <div class={`note ${gone ? "" : "note-bad"}`} role="alert">
      <Icon name={error instanceof Offline ? "cloudOff" : gone ? "info" : "warn"} size={20} />
      <span>{gone ? words().notHere : wordsOf(error, words().offline)}</span>
      {again && !gone && (
        <Button kind="plain" onClick={again}>
          {words().retry}
        </Button>
      )}
    </div>
  );
}

export function Note({ icon = "info", children }: { icon?: IconName; children: ComponentChildren }) {
  return (
    <div class={`note ${icon === "warn" ? "note-warn" : ""}`}>
      <Icon name={icon} size={20} />
      <span>{children}</span>
    </div>
  );
}

/** Do something and say how it went; gives whether it did. */
export async function attempt(work: () => Promise<unknown>, done = ""): Promise<boolean> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Offline)) throw error;
    toast(`${words().failed}: ${wordsOf(error, words().offline)}`, { kind: "bad", stays: 6000 });
    return false;
  }
  if (done) toast(done, { kind: "good" });
  return true;
}

/** A text that is copied at one click. */
export function Copyable({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  return (
    <span class="copyable">
      <code tabIndex={0} aria-label={label}>
        {text}
      </code>
      <IconButton
        icon={copied ? "check" : "copy"}
        label={copied ? words().copied : words().copy}
        onClick={() => {
          void navigator.clipboard.writeText(text).then(() => {
            setCopied(true);
            toast(words().copied, { kind: "good" });
          });
        }}
      />
    </span>
  );
}

export function More({ show, busy, onMore }: { show: boolean; busy: boolean; onMore: () => void }) {
  if (!show) return null;
  return (
    <div class="more">
      <Button onClick={onMore} busy={busy}>
        {words().more}
      </Button>
    </div>
  );
}

/** One of a few: a row of buttons. */
export function Choice<T extends string | number>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return (
    <div class="choice" role="group" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button
          key={value}
          type="button"
          aria-pressed={value === props.value}
          onClick={() => props.onChange(value)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}
