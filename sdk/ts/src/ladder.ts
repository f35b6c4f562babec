/**
 * Which transport next: down when one does not come to a welcome, up again when the best works.
 *
 * A level that has worked in this client's life gets a second chance; another is left at once.
 * From a lower level the WebSocket is tried beside the connection, after 3 s, then ever rarer.
 */

import type { TransportName } from "./api.js";

const FIRST_CLIMB_MS = 3_000;
const LAST_CLIMB_MS = 600_000;

/** Levels from best to last. */
export class Ladder {
  #at = 0;
  #failures = 0; // in a row, at this level
  readonly #worked = new Set<TransportName>();
  #climbAt: number | undefined;
  #pause = FIRST_CLIMB_MS;

  constructor(private readonly levels: readonly TransportName[]) {
    if (!levels.length) throw new TypeError("no transport is left to use");
  }

  get current(): TransportName {
    return this.levels[this.#at]!;
  }

  /** A session opened at this level. */
  opened(now: number): void {
    this.#worked.add(this.current);
    this.#failures = 0;
    if (this.#at === 0) this.#pause = FIRST_CLIMB_MS;
    this.#climbAt = this.#at > 0 && this.levels[0] === "websocket" ? now + this.#pause : undefined;
  }

  /** The connection ended. `opened`: there had been a welcome; `silent`: no sign of life since. */
  lost(opened: boolean, silent: boolean): void {
    this.#climbAt = undefined;
    if (opened && !silent) return;
    this.#failures += 1;
    if (this.#failures < (this.#worked.has(this.current) && !silent ? 2 : 1)) return;
    this.#failures = 0;
    this.#at = (this.#at + 1) % this.levels.length;
  }

  /** When to try whether the best level works. */
  due(): number | undefined {
    return this.#climbAt;
  }

  /** A try begins. */
  trying(): void {
    this.#climbAt = undefined;
  }

  /** The try ended; true: go up now. */
  tried(works: boolean, now: number): void {
    this.#pause = Math.min(LAST_CLIMB_MS, this.#pause * 4);
    if (works) this.#at = 0;
    else this.#climbAt = now + this.#pause;
  }
}
