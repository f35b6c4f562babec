/** A log that somebody has opened, as the application sees it. */

import type { Replica, Shown } from "./api.js";
import type { Follower } from "./follow.js";
import { Copy } from "./replica.js";
import { now } from "./shell.js";

/** A log that somebody has opened. */
export class OpenLog implements Replica {
  readonly copy: Copy;
  count = 0;
  loaded = false; // the window joins the head of the log, or what the store had
  filling = false;
  error: Error | undefined; // why it cannot be read (any more)
  tries = 0;
  notBefore = 0;
  #waiters: (() => void)[] = [];
  #last: Promise<unknown> = Promise.resolve();

  readonly #follower: Follower;

  constructor(
    readonly log: string,
    follower: Follower,
    keep: number,
  ) {
    this.#follower = follower;

    this.copy = new Copy(log, keep);
  }

  get shown(): readonly Shown[] {
    return this.copy.shown;
  }
  get low(): number {
    return this.shown.length ? this.copy.first : 0;
  }
  get high(): number {
    return this.copy.last;
  }
  get floor(): number {
    return this.copy.floor;
  }
  get live(): boolean {
    return this.loaded && !this.copy.jumped;
  }

  get(seq: number): Shown | undefined {
    return this.copy.show(seq);
  }

  older(limit = 50): Promise<number> {
    return this.#serial(async () => {
      const { copy } = this;
      if (copy.first <= copy.floor) return 0;
      const page = await this.#follower.read(this.log, { before: copy.first }, limit);
      const cut = page.epoch === copy.epoch ? undefined : copy.reset(page.floor, page.epoch, now());
      const had = copy.older(page);
      if (had || cut) this.#follower.took(this, { applied: [], cut }, true);
      return had;
    });
  }

  around(seq: number, limit = 50): Promise<void> {
    return this.#serial(async () => {
      const page = await this.#follower.read(this.log, { around: seq }, limit);
      const cut = this.copy.jump(page, now());
      this.#follower.took(this, { applied: [], cut }, true);
    });
  }

  newer(limit = 50): Promise<boolean> {
    return this.#serial(async () => {
      const { copy } = this;
      if (!copy.jumped) return true;
      const page = await this.#follower.read(this.log, { after: copy.last }, limit);
      const cut =
        page.epoch === copy.epoch && page.floor <= copy.last + 1
          ? undefined
          : copy.reset(page.floor, page.epoch, now());
      const applied = copy.onward(page, now());
      this.#follower.took(this, { applied, cut }, true);
      return !copy.jumped;
    });
  }

  trim(): void {
    this.copy.trim();
    this.#follower.took(this, { applied: [], cut: undefined }, true);
  }

  close(): void {
    if (this.count > 0 && --this.count === 0) this.#follower.drop(this);
  }

  /** Something changed: wake all who wait. */
  fire(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  /** Until the next change. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work);
    this.#last = run.catch(() => {}); // its caller is told; the next one starts anew
    return run;
  }
}
