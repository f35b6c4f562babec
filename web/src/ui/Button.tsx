import type { ComponentChildren, Ref } from "preact";
import { Icon, type IconName } from "./icons.js";
import "./controls.css";

export interface ButtonProps {
  children: ComponentChildren;
  onClick?: (e: MouseEvent) => void;
  kind?: "primary" | "plain" | "soft" | "danger";
  type?: "button" | "submit";
  icon?: IconName;
  disabled?: boolean;
  /** Shows a spinner and takes no clicks. */
  busy?: boolean;
  wide?: boolean;
  class?: string;
  autofocus?: boolean;
}

export function Button(props: ButtonProps) {
  const { kind = "soft", type = "button", busy = false } = props;
  return (
    <button
      type={type}
      class={`btn btn-${kind} ${props.wide ? "btn-wide" : ""} ${props.class ?? ""}`}
      disabled={props.disabled || busy}
      aria-busy={busy}
      autofocus={props.autofocus}
      onClick={props.onClick}
    >
      {busy ? <span class="spin spin-s" /> : props.icon && <Icon name={props.icon} size={18} />}
      <span>{props.children}</span>
    </button>
  );
}

export interface IconButtonProps {
  icon: IconName;
  /** What it does: read aloud and shown as a tip. */
  label: string;
  onClick?: (e: MouseEvent) => void;
  size?: number;
  disabled?: boolean;
  /** For a button that switches something on and off. */
  pressed?: boolean;
  expanded?: boolean;
  class?: string;
  buttonRef?: Ref<HTMLButtonElement>;
}

export function IconButton(props: IconButtonProps) {
  return (
    <button
      ref={props.buttonRef}
      type="button"
      class={`icon-btn ${props.class ?? ""}`}
      aria-label={props.label}
      title={props.label}
      aria-pressed={props.pressed}
      aria-expanded={props.expanded}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      <Icon name={props.icon} size={props.size ?? 22} />
    </button>
  );
}
