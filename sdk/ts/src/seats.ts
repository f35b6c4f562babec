/** Who of several tabs on one connection still watches a log: the last one to leave says so. */

import type { Core } from "./core.js";

const alone = new WeakMap<Core, Map<string, number>>(); // where there are no locks: one page only

/**
 * A seat in front of a log. Every watch holds a shared lock of its name while it sits; a tab that
 * dies frees it by itself.
 */
export class Seats {
  #release: (() => void) | undefined;
  #freed: Promise<unknown> | undefined; // settles when the lock is given back
  #left = false;

  constructor(
    private readonly core: Core,
    private readonly name: string,
  ) {}

  /** Sit down; waits while somebody else clears the table. */
  async take(): Promise<void> {
    const { locks } = globalThis.navigator ?? {};
    if (!locks) {
      const counts = alone.get(this.core) ?? new Map<string, number>();
      alone.set(this.core, counts);
      counts.set(this.name, (counts.get(this.name) ?? 0) + 1);
      return;
    }
    await new Promise<void>((seated, failed) => {
      this.#freed = locks.request(this.name, { mode: "shared" }, () => {
        seated();
        return this.#left ? undefined : new Promise<void>((resolve) => (this.#release = resolve));
      });
      this.#freed.catch(failed);
    });
  }

  /** Stand up; `last` runs where nobody sits here any more. Idempotent. */
  leave(last: () => void): void {
    if (this.#left) return;
    this.#left = true;
    const { locks } = globalThis.navigator ?? {};
    if (!locks) {
      const counts = alone.get(this.core);
      const rest = (counts?.get(this.name) ?? 0) - 1;
      if (rest >= 0) counts?.set(this.name, rest);
      if (rest === 0) last();
      return;
    }
    this.#release?.();
    // `last` speaks while the lock is held: who sits down next subscribes after it
    const clear = () => locks.request(this.name, { ifAvailable: true }, (lock) => void (lock && last()));
    this.#freed?.then(clear).catch(() => {}); // the page goes, and the subscription with it
  }
}
