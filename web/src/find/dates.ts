/** Jump to a day: the sheet of a month, and the first message of a day. Local time. */

import type { Client } from "@hongyan/sdk";

/** A day of a month's sheet; `inside`: of that month. */
export interface Day {
  year: number;
  month: number; // 0 to 11
  day: number;
  inside: boolean;
}

/** First ms of a day. */
export function startOf(day: { year: number; month: number; day: number }): number {
  return new Date(day.year, day.month, day.day).getTime();
}

/** Whole weeks that hold the month; `first` is the first day of a week (0 Sunday). */
export function monthSheet(year: number, month: number, first: number): Day[][] {
  const lead = (new Date(year, month, 1).getDay() - first + 7) % 7;
  const length = new Date(year, month + 1, 0).getDate();
  const weeks: Day[][] = [];
  for (let at = -lead; at < length; at += 7) {
    const week: Day[] = [];
    for (let i = 0; i < 7; i++) {
      const date = new Date(year, month, at + i + 1);
      week.push({
        year: date.getFullYear(),
        month: date.getMonth(),
        day: date.getDate(),
        inside: date.getMonth() === month,
      });
    }
    weeks.push(week);
  }
  return weeks;
}

/** Day on which a week begins where this language is spoken: 0 Sunday, 1 Monday. */
export function weekStart(lang: string): number {
  return lang.startsWith("zh") ? 1 : 0;
}

/**
 * The seq of the first entry at or after `ms`, by halving: about 17 small reads for 100,000
 * entries. 0 when the log has nothing from then on. Raises what `Client.read` raises.
 */
export async function seqAt(client: Pick<Client, "read">, log: string, ms: number): Promise<number> {
  const newest = await client.read(log, { before: 0 }, 1);
  const last = newest.entries[newest.entries.length - 1];
  if (!last || last.at < ms) return 0;
  let low = newest.floor;
  let high = last.seq;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const page = await client.read(log, { after: middle - 1 }, 1);
    const entry = page.entries[0];
    if (!entry || entry.at >= ms) high = middle;
    else low = middle + 1;
  }
  return low;
}
