/**
 * Where the items of a long list lie when only some of them are drawn. Heights are in px; what
 * was not measured yet counts with an estimate. Pure.
 */

/** What keeps still when heights or items change: an item and how far its top is below the view's. */
export interface Anchor {
  key: string;
  /** px from the top of the view to the top of the item; negative when it begins above. */
  below: number;
}

export class Layout {
  /** The top of each item, and behind them the end of the last one. */
  readonly tops: Float64Array;
  private readonly places = new Map<string, number>();

  constructor(
    readonly keys: readonly string[],
    heights: ReadonlyMap<string, number>,
    estimate: (index: number) => number,
  ) {
    this.tops = new Float64Array(keys.length + 1);
    let top = 0;
    keys.forEach((key, n) => {
      this.tops[n] = top;
      this.places.set(key, n);
      top += heights.get(key) ?? estimate(n);
    });
    this.tops[keys.length] = top;
  }

  get total(): number {
    return this.tops[this.keys.length] ?? 0;
  }

  /** The index of an item, -1 when it is not in the list. */
  indexOf(key: string): number {
    return this.places.get(key) ?? -1;
  }

  /** The index of the item that covers `y`; the nearest one outside of the list. */
  at(y: number): number {
    let low = 0;
    let high = this.keys.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.tops[middle] ?? 0) <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Indexes [from, to) of what has to be drawn for a view, with `spare` px on both sides. */
  range(top: number, height: number, spare: number): [number, number] {
    if (this.keys.length === 0) return [0, 0];
    return [this.at(top - spare), this.at(top + height + spare) + 1];
  }

  /** The first item that begins in the view, or the one that covers it. */
  anchor(top: number, height: number): Anchor | null {
    if (this.keys.length === 0) return null;
    let n = this.at(top);
    const begins = this.tops[n] ?? 0;
    if (begins < top && n + 1 < this.keys.length && (this.tops[n + 1] ?? 0) < top + height) n += 1;
    return { key: this.keys[n] ?? "", below: (this.tops[n] ?? 0) - top };
  }

  /** Where the view has to begin so that the anchor keeps still; null when it is gone. */
  topFor(anchor: Anchor): number | null {
    const n = this.indexOf(anchor.key);
    return n < 0 ? null : (this.tops[n] ?? 0) - anchor.below;
  }
}
