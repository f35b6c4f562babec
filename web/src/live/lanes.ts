/**
 * Where on the stage a message goes, so that no two overlap. Pure: widths in px, times in ms.
 *
 * Messages that cross the stage take the same time whatever their length, so longer ones are
 * faster. One may follow another in its lane when the other is wholly inside, and when it does
 * not catch up before the other has left.
 */

export interface Crossing {
  at: number;
  width: number;
}

const GAP = 28; // px between two in a lane

/** Lanes for messages that cross the stage. */
export class Lanes {
  #last: (Crossing | undefined)[] = [];

  constructor(private readonly crossMs: number) {}

  /** The first lane of `count` that takes a message of this width now, and takes it; -1 = none. */
  take(count: number, stage: number, width: number, now: number): number {
    for (let lane = 0; lane < count; lane += 1) {
      if (!this.#free(this.#last[lane], stage, width, now)) continue;
      this.#last[lane] = { at: now, width };
      return lane;
    }
    return -1;
  }

  clear(): void {
    this.#last = [];
  }

  #free(last: Crossing | undefined, stage: number, width: number, now: number): boolean {
    if (!last) return true;
    const gone = now - last.at;
    if (gone >= this.crossMs) return true;
    const inside = (gone * (stage + last.width)) / this.crossMs >= last.width + GAP;
    const reaches = (this.crossMs * stage) / (stage + width); // when the new one touches the far edge
    return inside && gone + reaches >= this.crossMs;
  }
}

/** Lanes for messages that stand still for a while. */
export class Rows {
  #until: number[] = [];

  /** The first row of `count` that is free now, taken for `ms`; -1 = none. */
  take(count: number, now: number, ms: number): number {
    for (let row = 0; row < count; row += 1) {
      if ((this.#until[row] ?? 0) > now) continue;
      this.#until[row] = now + ms;
      return row;
    }
    return -1;
  }

  clear(): void {
    this.#until = [];
  }
}
