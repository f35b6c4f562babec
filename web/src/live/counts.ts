/** How much comes in, by lane: what the host sees of it. Pure. */

const SPAN = 60; // seconds that are counted

/** As the server counts: gifts and order, what people say, who came. */
export const LANES = ["high", "normal", "low"] as const;
export type LaneName = (typeof LANES)[number];
export type PerLane = Record<LaneName, number>;

const none = (): PerLane => ({ high: 0, normal: 0, low: 0 });

/** The lane of an item, by the number that it carries. */
export function laneOf(lane: number): LaneName {
  return LANES[lane] ?? "low";
}

/** Counts of the last minute, a bucket per second. */
export class Counts {
  #buckets: { second: number; n: PerLane }[] = [];

  add(lane: LaneName, n: number, now: number): void {
    const second = Math.floor(now / 1000);
    let last = this.#buckets.at(-1);
    if (last?.second !== second) this.#buckets.push((last = { second, n: none() }));
    last.n[lane] += n;
    if (this.#buckets.length > SPAN) this.#buckets.shift();
  }

  /** Buckets in memory. */
  get held(): number {
    return this.#buckets.length;
  }

  /** What came within the last minute, and what people said in the last whole second. */
  at(now: number): { minute: PerLane; second: number } {
    const second = Math.floor(now / 1000);
    const minute = none();
    let lately = 0;
    for (const bucket of this.#buckets) {
      if (bucket.second <= second - SPAN) continue;
      for (const lane of LANES) minute[lane] += bucket.n[lane];
      if (bucket.second === second - 1) lately = bucket.n.normal;
    }
    return { minute, second: lately };
  }
}
