/** Short notes at the edge of the page: `toast("Copied")`. Needs `ToastHost` in the page. */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icons.js";
import "./dialog.css";

export interface ToastOptions {
  kind?: "info" | "good" | "bad";
  /** ms until it goes; 0 = until it is replaced. Default 3500. */
  stays?: number;
  action?: { label: string; run: () => void };
}

interface Shown extends ToastOptions {
  id: number;
  text: string;
}

const MOST = 3; // the oldest goes when one more comes
let last = 0;
const shown = signal<readonly Shown[]>([]);

export function toast(text: string, options: ToastOptions = {}): () => void {
  const id = ++last;
  shown.value = [...shown.value, { id, text, ...options }].slice(-MOST);
  const away = () => {
    shown.value = shown.value.filter((t) => t.id !== id);
  };
  if (options.stays !== 0) setTimeout(away, options.stays ?? 3500);
  return away;
}

export function ToastHost() {
  const ref = useRef<HTMLDivElement>(null);
  const all = shown.value;
  useEffect(() => {
    // Shown anew for each: it has to lie above a dialog that was opened meanwhile.
    const box = ref.current;
    if (!box) return;
    if (box.matches(":popover-open")) box.hidePopover();
    if (all.length) box.showPopover();
  }, [all]);
  return (
    <div ref={ref} class="toasts" popover="manual" role="status" aria-live="polite">
      {all.map((t) => (
        <div key={t.id} class={`toast toast-${t.kind ?? "info"}`}>
          {t.kind === "bad" && <Icon name="warn" size={18} />}
          {t.kind === "good" && <Icon name="check" size={18} />}
          <span>{t.text}</span>
          {t.action && (
            <button type="button" class="toast-do" onClick={t.action.run}>
              {t.action.label}
            </button>
          )}
        </div>
      ))}
    </div>
  );
}
