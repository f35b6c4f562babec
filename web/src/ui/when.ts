/** Times and sizes in words, in the language shown. All times are ms since 1970. */

import { lang } from "./i18n.js";

const DAY = 86_400_000;
const made = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = lang.value + JSON.stringify(options);
  let found = made.get(key);
  if (!found) made.set(key, (found = new Intl.DateTimeFormat(lang.value, options)));
  return found;
}

/** Midnight before `at`, local time. */
export function dayOf(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** 14:05 */
export function clockTime(at: number): string {
  return format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
}

/** Today, Yesterday, Monday 3 March, with the year where it is another one. */
export function dayName(at: number, now = Date.now()): string {
  const days = Math.round((dayOf(now) - dayOf(at)) / DAY);
  if (days === 0 || days === 1) {
    const word = new Intl.RelativeTimeFormat(lang.value, { numeric: "auto" }).format(-days, "day");
    return word.charAt(0).toUpperCase() + word.slice(1);
  }
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return sameYear
    ? format({ weekday: "short", day: "numeric", month: "long" }).format(at)
    : format({ day: "numeric", month: "long", year: "numeric" }).format(at);
}

/** For a list: the time today, the weekday this week, else the date. */
export function shortWhen(at: number, now = Date.now()): string {
  const days = Math.round((dayOf(now) - dayOf(at)) / DAY);
  if (days <= 0) return clockTime(at);
  if (days === 1) return dayName(at, now);
  if (days < 7) return format({ weekday: "short" }).format(at);
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return sameYear
    ? format({ month: "numeric", day: "numeric" }).format(at)
    : format({ year: "numeric", month: "numeric", day: "numeric" }).format(at);
}

/** The day and the minute. */
export function fullWhen(at: number): string {
  return format({ dateStyle: "medium", timeStyle: "short", hourCycle: "h23" }).format(at);
}

/** 1:05 */
export function duration(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  const minutes = Math.floor(s / 60);
  const rest = String(s % 60).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

/** 1.4 MB */
export function fileSize(bytes: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let n = bytes;
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && n < 10 ? 1 : 0;
  return `${new Intl.NumberFormat(lang.value, { maximumFractionDigits: digits }).format(n)} ${units[unit]}`;
}
