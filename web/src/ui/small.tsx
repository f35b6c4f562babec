import type { ComponentChildren } from "preact";
import { Icon, type IconName } from "./icons.js";
import { dictionary } from "./i18n.js";
import "./controls.css";

const words = dictionary({ loading: "Loading…" }, { loading: "加载中…" });

export function Spinner({ size = "m", label }: { size?: "s" | "m" | "l"; label?: string }) {
  return (
    <span role="status" class="spinner">
      <span class={`spin spin-${size}`} />
      <span class="unseen">{label ?? words().loading}</span>
    </span>
  );
}

export interface EmptyStateProps {
  icon: IconName;
  title: string;
  children?: ComponentChildren;
}

export function EmptyState(props: EmptyStateProps) {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon name={props.icon} size={34} />
      </span>
      <p class="empty-title">{props.title}</p>
      {props.children && <div class="empty-more">{props.children}</div>}
    </div>
  );
}

/** A count in a coloured pill; nothing for 0. */
export function Badge({ n, muted = false, label }: { n: number; muted?: boolean; label?: string }) {
  if (n <= 0) return null;
  return (
    <span class={`badge ${muted ? "badge-muted" : ""}`}>
      <span aria-hidden={label ? "true" : undefined}>{n > 999 ? "999+" : n}</span>
      {label && <span class="unseen">{label}</span>}
    </span>
  );
}
