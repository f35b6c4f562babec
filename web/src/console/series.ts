/** The numbers of the node as the page keeps them: what the server sent, laid end to end. */

export type Values = (number | null)[];

export interface Answer {
  now: number;
  node: string;
  version: string;
  started_at: number;
  step_ms: number;
  steps: number;
  at: number[];
  series: Record<string, Values>;
  totals: Record<string, number>;
  calls: { name: string; code: number; count: number }[];
}

export interface Kept {
  at: number[];
  series: Record<string, Values>;
}

export const NOTHING: Kept = { at: [], series: {} };

/**
 * Lay an answer behind what is kept: samples that are known are not taken twice, and at most
 * `most` stay. A node that was started anew (its samples are all older than ours, or its start is
 * later) is the caller's to notice.
 */
export function append(kept: Kept, answer: Pick<Answer, "at" | "series">, most: number): Kept {
  const last = kept.at.at(-1) ?? 0;
  const from = answer.at.findIndex((at) => at > last);
  if (from < 0) return kept;
  const at = [...kept.at, ...answer.at.slice(from)].slice(-most);
  const series: Record<string, Values> = {};
  for (const [name, values] of Object.entries(answer.series)) {
    const before = kept.series[name] ?? kept.at.map(() => null);
    series[name] = [...before, ...values.slice(from)].slice(-most);
  }
  return { at, series };
}

/** The samples of the last `ms`, with a hole wherever the node did not sample for a while. */
export function recent(kept: Kept, ms: number, stepMs: number): Kept {
  const end = kept.at.at(-1) ?? 0;
  const first = kept.at.findIndex((at) => at > end - ms);
  if (first < 0) return NOTHING;
  const at: number[] = [];
  const series: Record<string, Values> = {};
  for (const name of Object.keys(kept.series)) series[name] = [];
  for (let i = first; i < kept.at.length; i += 1) {
    const now = kept.at[i] ?? 0;
    const before = at.at(-1);
    if (before !== undefined && now - before > 3 * stepMs) {
      at.push(before + stepMs);
      for (const values of Object.values(series)) values.push(null);
    }
    at.push(now);
    for (const [name, values] of Object.entries(series)) {
      values.push(kept.series[name]?.[i] ?? null);
    }
  }
  return { at, series };
}

/** The newest value of a series; null where there is none. */
export function newest(kept: Kept, name: string): number | null {
  return kept.series[name]?.at(-1) ?? null;
}

/** The newest value that is one: quantiles have none while nothing happens. */
export function newestKnown(kept: Kept, name: string): number | null {
  return lastKnown(kept.series[name] ?? []);
}

export function lastKnown(values: Values): number | null {
  for (let i = values.length - 1; i >= 0; i -= 1) {
    const value = values[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

/** Points of a small line in a box of `width` × `height`, for a polyline; "" when there is no line. */
export function sparkline(values: Values, width: number, height: number): string {
  const known = values.filter((value): value is number => value !== null);
  if (known.length < 2) return "";
  const top = Math.max(...known, 1e-9);
  const step = width / (values.length - 1);
  return values
    .map((value, i) =>
      value === null
        ? null
        : `${(i * step).toFixed(1)},${(height - (value / top) * (height - 2) - 1).toFixed(1)}`,
    )
    .filter((point) => point !== null)
    .join(" ");
}
