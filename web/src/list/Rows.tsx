/** The rows of the list: only those that are seen are drawn, so ten thousand cost no more than ten. */

import type { InboxRow } from "@hongyan/sdk";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { currentLog, openChat } from "../session/index.js";
import { Row, ROW_HEIGHT } from "./Row.js";
import { scrolledTo, windowOf } from "./window.js";

/** `label` names the list for screen readers. */
export function Rows({ rows, label }: { rows: readonly InboxRow[]; label: string }) {
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ top: 0, height: 800 });
  const [reached, setReached] = useState("");
  const focused = useRef(false);
  const current = currentLog.value;
  useEffect(() => {
    const el = box.current;
    if (!el) return;
    const look = () => setSeen({ top: el.scrollTop, height: el.clientHeight });
    const watcher = new ResizeObserver(look);
    watcher.observe(el);
    el.addEventListener("scroll", look, { passive: true });
    look();
    return () => {
      watcher.disconnect();
      el.removeEventListener("scroll", look);
    };
  }, []);

  const indexOf = (log: string) => rows.findIndex((row) => row.log === log);
  const at = Math.max(0, indexOf(reached) >= 0 ? indexOf(reached) : indexOf(current));
  const { from, to } = windowOf(seen.top, seen.height, ROW_HEIGHT, rows.length);
  const drawn = rows.slice(from, to).map((row, i) => ({ row, index: from + i }));
  const kept = rows[at];
  if (kept && (at < from || at >= to)) drawn.push({ row: kept, index: at }); // it may hold the focus

  const lastAt = useRef(at);
  useLayoutEffect(() => {
    // A row that moves within the list loses the focus: give it back.
    const moved = lastAt.current !== at;
    lastAt.current = at;
    const lost = moved && focused.current && document.activeElement === document.body;
    if (lost) box.current?.querySelector<HTMLElement>("a[tabindex='0']")?.focus({ preventScroll: true });
  });

  const go = (to: number) => {
    const el = box.current;
    const row = rows[Math.max(0, Math.min(rows.length - 1, to))];
    if (!el || !row) return;
    el.scrollTop = scrolledTo(indexOf(row.log), el.scrollTop, el.clientHeight, ROW_HEIGHT);
    setSeen({ top: el.scrollTop, height: el.clientHeight });
    setReached(row.log);
    requestAnimationFrame(() =>
      el.querySelector<HTMLElement>(`[data-log="${CSS.escape(row.log)}"]`)?.focus({ preventScroll: true }),
    );
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(seen.height / ROW_HEIGHT) - 1);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1,
    };
    const to = steps[e.key];
    const row = rows[at];
    if (to !== undefined && !e.altKey && !e.ctrlKey && !e.metaKey) {
      e.preventDefault();
      go(to);
    } else if (e.key === " " && row) {
      e.preventDefault();
      openChat(row.log);
    }
  };
  return (
    <div
      ref={box}
      class="list-scroll"
      onKeyDown={onKeyDown}
      onFocusIn={() => (focused.current = true)}
      onFocusOut={(e) => {
        if (e.relatedTarget) focused.current = false;
      }}
    >
      <ul class="list-rows" aria-label={label} style={{ height: `${rows.length * ROW_HEIGHT}px` }}>
        {drawn.map(({ row, index }) => (
          <Row
            key={row.log}
            row={row}
            index={index}
            of={rows.length}
            current={row.log === current}
            reachable={index === at}
            onFocus={setReached}
          />
        ))}
      </ul>
    </div>
  );
}
