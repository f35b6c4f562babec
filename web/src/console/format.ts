/** Numbers as people read them. */

import { lang } from "../ui/i18n.js";

const NONE = "–";

function plain(value: number, digits: number): string {
  return new Intl.NumberFormat(lang.value, { maximumFractionDigits: digits }).format(value);
}

/** 1,234 or 12.3k: at most four figures, so that columns and axes stay narrow. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  const size = Math.abs(value);
  if (size >= 1e9) return `${plain(value / 1e9, 1)}G`;
  if (size >= 1e6) return `${plain(value / 1e6, 1)}M`;
  if (size >= 1e4) return `${plain(value / 1e3, 1)}k`;
  return plain(value, size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2);
}

/** 1,234,567 */
export function exact(value: number): string {
  return plain(value, 0);
}

/** 1.5 MiB: powers of two, as memory is counted. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let rest = value;
  let unit = 0;
  while (Math.abs(rest) >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  return `${plain(rest, unit && Math.abs(rest) < 100 ? 1 : 0)} ${units[unit] ?? ""}`;
}

/** A time in ms: 0.42 ms, 12 ms, 1.2 s. */
export function millis(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (value >= 1000) return `${plain(value / 1000, 2)} s`;
  return `${plain(value, value >= 100 ? 0 : value >= 10 ? 1 : 2)} ms`;
}

/** Cores in use as per cent of one core. */
export function percent(cores: number | null | undefined): string {
  if (cores === null || cores === undefined || Number.isNaN(cores)) return NONE;
  return `${plain(cores * 100, cores < 0.1 ? 1 : 0)} %`;
}

export function rate(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : `${count(value)}/s`;
}

const STEPS: readonly (readonly [number, string, string])[] = [
  [86_400_000, "d", "天"],
  [3_600_000, "h", "小时"],
  [60_000, "min", "分钟"],
  [1000, "s", "秒"],
];

/** How long: 3 d 4 h, 12 min 5 s. The two largest units. */
export function span(ms: number): string {
  let rest = Math.max(0, ms);
  const parts: string[] = [];
  for (const [size, en, zh] of STEPS) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n || (parts.length && parts.length < 2)) {
      if (n) parts.push(`${n} ${lang.value === "zh-CN" ? zh : en}`);
      else break;
    }
    if (parts.length === 2) break;
  }
  return parts.join(" ") || (lang.value === "zh-CN" ? "0 秒" : "0 s");
}

/** 24 Nov 2026, 11:02:31 */
export function moment(at: number): string {
  if (!at) return NONE;
  return new Intl.DateTimeFormat(lang.value, {
    dateStyle: "medium",
    timeStyle: "medium",
    hourCycle: "h23",
  }).format(at);
}

/** 11:02:31 */
export function clock(at: number): string {
  return new Intl.DateTimeFormat(lang.value, { timeStyle: "medium", hourCycle: "h23" }).format(at);
}

/** How long ago, from `now`. */
export function ago(at: number, now = Date.now()): string {
  if (!at) return NONE;
  if (now - at < 2000) return lang.value === "zh-CN" ? "刚刚" : "just now";
  const text = span(now - at).split(" ").slice(0, 2).join(" ");
  return lang.value === "zh-CN" ? `${text}前` : `${text} ago`;
}
