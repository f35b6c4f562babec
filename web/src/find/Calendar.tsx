/** The sheet of a month, by mouse and by keyboard (arrows, Page Up and Down, Home, End). */

import { useEffect, useRef, useState } from "preact/hooks";
import { IconButton, lang } from "../ui/index.js";
import { type Day, monthSheet, startOf, weekStart } from "./dates.js";
import { words } from "./words.js";

const DAY = 86_400_000;

/** `until`: the last ms that may be chosen; `pick` gets the chosen day. */
export function Calendar({ until, pick }: { until: number; pick: (day: Day) => void }) {
  const w = words();
  const [at, setAt] = useState(() => new Date(until));
  const box = useRef<HTMLTableElement>(null);
  const moved = useRef(false);
  const year = at.getFullYear();
  const month = at.getMonth();
  const weeks = monthSheet(year, month, weekStart(lang.value));
  const say = (options: Intl.DateTimeFormatOptions, ms: number) =>
    new Intl.DateTimeFormat(lang.value, options).format(ms);
  useEffect(() => {
    if (moved.current) box.current?.querySelector<HTMLElement>("button[tabindex='0']")?.focus();
  }, [at]);
  const go = (date: Date, byKey = false) => {
    moved.current = byKey;
    setAt(date.getTime() > until ? new Date(until) : date);
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const days: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };
    const months: Record<string, number> = { PageUp: -1, PageDown: 1 };
    const by = days[e.key];
    if (by !== undefined) go(new Date(year, month, at.getDate() + by), true);
    else if (months[e.key]) go(new Date(year, month + (months[e.key] ?? 0), at.getDate()), true);
    else if (e.key === "Home") go(new Date(year, month, 1), true);
    else if (e.key === "End") go(new Date(year, month + 1, 0), true);
    else return;
    e.preventDefault();
  };
  return (
    <div class="calendar">
      <div class="calendar-head">
        <IconButton icon="back" label={w.prevMonth} onClick={() => go(new Date(year, month - 1, 1))} />
        <strong aria-live="polite">{say({ year: "numeric", month: "long" }, at.getTime())}</strong>
        <IconButton
          icon="right"
          label={w.nextMonth}
          disabled={new Date(year, month + 1, 1).getTime() > until}
          onClick={() => go(new Date(year, month + 1, 1))}
        />
      </div>
      <table ref={box} onKeyDown={onKeyDown}>
        <thead>
          <tr>
            {weeks[0]?.map((day) => (
              <th key={day.day} scope="col" abbr={say({ weekday: "long" }, startOf(day))}>
                {say({ weekday: "narrow" }, startOf(day))}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {weeks.map((week) => (
            <tr key={startOf(week[0]!)}>
              {week.map((day) => (
                <td key={startOf(day)}>
                  <button
                    type="button"
                    class={`calendar-day ${day.inside ? "" : "calendar-out"}`}
                    tabIndex={day.inside && day.day === at.getDate() ? 0 : -1}
                    disabled={startOf(day) > until}
                    aria-label={w.jumpTo(say({ dateStyle: "full" }, startOf(day)))}
                    aria-current={isToday(day) ? "date" : undefined}
                    onClick={() => pick(day)}
                  >
                    {day.day}
                  </button>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function isToday(day: Day): boolean {
  const since = Date.now() - startOf(day);
  return since >= 0 && since < DAY && new Date().getDate() === day.day;
}
