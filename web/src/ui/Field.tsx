import type { ComponentChildren, Ref } from "preact";
import { useId } from "preact/hooks";
import "./controls.css";

export interface InputProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  type?: "text" | "password" | "search" | "number" | "date";
  /** Shown below; with `error` in its colour and read aloud. */
  hint?: string | undefined;
  error?: string | undefined;
  placeholder?: string | undefined;
  /** The label is for screen readers only. */
  quiet?: boolean;
  required?: boolean;
  disabled?: boolean;
  autofocus?: boolean;
  autocomplete?: string;
  maxLength?: number;
  spellcheck?: boolean;
  onKeyDown?: (e: KeyboardEvent) => void;
  inputRef?: Ref<HTMLInputElement>;
}

export function Input(props: InputProps) {
  const id = useId();
  const below = props.error || props.hint;
  return (
    <div class={`field ${props.error ? "field-bad" : ""}`}>
      <label class={props.quiet ? "unseen" : "field-label"} for={id}>
        {props.label}
      </label>
      <input
        ref={props.inputRef}
        id={id}
        class="input"
        // The typings have one shape per type; what is given here fits each of them.
        type={(props.type ?? "text") as "text"}
        value={props.value}
        placeholder={props.placeholder}
        required={props.required}
        disabled={props.disabled}
        autofocus={props.autofocus}
        autocomplete={props.autocomplete ?? "off"}
        maxLength={props.maxLength}
        spellcheck={props.spellcheck ?? false}
        aria-invalid={Boolean(props.error)}
        aria-describedby={below ? `${id}-b` : undefined}
        onInput={(e) => props.onInput(e.currentTarget.value)}
        onKeyDown={props.onKeyDown}
      />
      {below && (
        <p id={`${id}-b`} class="field-below" role={props.error ? "alert" : undefined}>
          {below}
        </p>
      )}
    </div>
  );
}

export interface TextAreaProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  rows?: number;
  maxLength?: number;
  placeholder?: string;
}

export function TextArea(props: TextAreaProps) {
  const id = useId();
  return (
    <div class="field">
      <label class="field-label" for={id}>
        {props.label}
      </label>
      <textarea
        id={id}
        class="input input-area"
        rows={props.rows ?? 3}
        maxLength={props.maxLength}
        placeholder={props.placeholder}
        value={props.value}
        onInput={(e) => props.onInput(e.currentTarget.value)}
      />
    </div>
  );
}

export interface SwitchProps {
  label: ComponentChildren;
  on: boolean;
  onChange: (on: boolean) => void;
  hint?: string;
  disabled?: boolean;
}

export function Switch(props: SwitchProps) {
  return (
    <label class={`switch-row ${props.disabled ? "switch-off" : ""}`}>
      <span class="switch-words">
        <span>{props.label}</span>
        {props.hint && <small>{props.hint}</small>}
      </span>
      <input
        type="checkbox"
        role="switch"
        class="switch"
        checked={props.on}
        disabled={props.disabled}
        onChange={(e) => props.onChange(e.currentTarget.checked)}
      />
    </label>
  );
}

export interface SelectProps<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}

export function Select<T extends string>(props: SelectProps<T>) {
  const id = useId();
  return (
    <div class="field field-inline">
      <label for={id}>{props.label}</label>
      <select
        id={id}
        class="select"
        value={props.value}
        onChange={(e) => {
          const chosen = props.options.find(([value]) => value === e.currentTarget.value);
          if (chosen) props.onChange(chosen[0]);
        }}
      >
        {props.options.map(([value, words]) => (
          <option key={value} value={value}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}
