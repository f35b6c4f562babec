/** Windows over the page. The browser's own `<dialog>` keeps focus inside and gives it back. */

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { Button, IconButton } from "./Button.js";
import { useBackdrop } from "./backdrop.js";
import { dictionary } from "./i18n.js";
import "./dialog.css";

const words = dictionary(
  { close: "Close", cancel: "Cancel", ok: "OK" },
  { close: "关闭", cancel: "取消", ok: "确定" },
);

export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** Buttons at the bottom. */
  actions?: ComponentChildren;
  /** Left of the title, e.g. a back button. */
  lead?: ComponentChildren;
  size?: "s" | "m" | "l";
  class?: string;
}

export function Dialog(props: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  const backdrop = useBackdrop(ref, props.onClose);
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      class={`dialog dialog-${props.size ?? "m"} ${props.class ?? ""}`}
      aria-labelledby={id}
      onCancel={(e) => {
        if (e.target !== ref.current) return;
        e.preventDefault();
        props.onClose();
      }}
      {...backdrop}
    >
      <div class="dialog-body">
        <div class="dialog-head">
          {props.lead}
          <h2 id={id} class="ellipsis">
            {props.title}
          </h2>
          <IconButton icon="close" label={words().close} onClick={props.onClose} />
        </div>
        <div class="dialog-main">{props.children}</div>
        {props.actions && <div class="dialog-foot">{props.actions}</div>}
      </div>
    </dialog>
  );
}

interface Question {
  title: string;
  text: string;
  yes: string;
  danger: boolean;
  /** Asks for a line of text, with this as its start. */
  line: { label: string; value: string; maxLength: number } | null;
  answer: (value: string | null) => void;
}

const question = signal<Question | null>(null);

/** Ask yes or no; resolves true for yes. Needs `DialogHost` in the page. */
export async function confirm(q: {
  title: string;
  text?: string;
  yes?: string;
  danger?: boolean;
}): Promise<boolean> {
  return (await ask({ text: "", danger: false, ...q, yes: q.yes ?? words().ok, line: null })) !== null;
}

/** Ask for one line; resolves with null when the person cancels. */
export function askLine(q: {
  title: string;
  label: string;
  value?: string;
  yes?: string;
  maxLength?: number;
}): Promise<string | null> {
  return ask({
    title: q.title,
    text: "",
    danger: false,
    yes: q.yes ?? words().ok,
    line: { label: q.label, value: q.value ?? "", maxLength: q.maxLength ?? 200 },
  });
}

function ask(q: Omit<Question, "answer">): Promise<string | null> {
  question.value?.answer(null);
  return new Promise((resolve) => {
    question.value = {
      ...q,
      answer: (value) => {
        question.value = null;
        resolve(value);
      },
    };
  });
}

/** Shows what `confirm` and `askLine` ask. Once per page. */
export function DialogHost() {
  const q = question.value;
  return q ? <Ask key={q.title} q={q} /> : null;
}

function Ask({ q }: { q: Question }) {
  const [value, setValue] = useState(q.line?.value ?? "");
  return (
    <Dialog title={q.title} size="s" onClose={() => q.answer(null)}>
      <form
        class="ask"
        onSubmit={(e) => {
          e.preventDefault();
          q.answer(value);
        }}
      >
        {q.text && <p class="ask-text">{q.text}</p>}
        {q.line && (
          <label class="field">
            <span class="field-label">{q.line.label}</span>
            <input
              class="input"
              autofocus
              maxLength={q.line.maxLength}
              value={value}
              onInput={(e) => setValue(e.currentTarget.value)}
            />
          </label>
        )}
        <div class="dialog-foot">
          <Button kind="plain" onClick={() => q.answer(null)}>
            {words().cancel}
          </Button>
          <Button kind={q.danger ? "danger" : "primary"} type="submit" autofocus={!q.line}>
            {q.yes}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
