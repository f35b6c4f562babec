/** From the outbox to the session and back: each call ends once, whatever happens. */

import type { Json, Sent } from "./api.js";
import { Clash, FrameTooBig, Unauthenticated } from "./errors.gen.js";
import { errorFromTab, errorToTab } from "./errors.js";
import type { Ack, Call } from "./frames.gen.js";
import type { Ending, Host } from "./host.js";
import { OpIds, Outbox } from "./outbox.js";
import type { Pending } from "./outbox.js";
import { Refusal } from "./refusal.js";

const AT_ONCE = 256; // calls handed to the session; it keeps to the server's window
const MEMBERS = /^[A-Za-z0-9_.:-]{1,64}$/;

interface Waiter {
  resolve(ack: Ack): void;
  reject(error: unknown): void;
}

/** Calls of one device, of all its tabs. */
export class Sender {
  readonly outbox = new Outbox();
  /** The outbox changed and nobody was told yet. */
  changed = false;
  #ids = new OpIds();
  #waiters = new Map<string, Waiter[]>();
  #handed = 0;
  #over: Error | undefined;

  readonly #host: Host;
  readonly #stored: (call: Pending, ack: Ack) => void;
  readonly #renew: (why: Refusal) => void;

  /** `stored` is told of each ack, before whoever waits for it. */
  constructor(
    host: Host,
    stored: (call: Pending, ack: Ack) => void,
    renew: (why: Refusal) => void,
  ) {
    this.#host = host;
    this.#stored = stored;
    this.#renew = renew;
  }

  call(name: string, args: Json, options: { log?: string; op?: string; keep?: boolean } = {}): Sent {
    const op = options.op ?? this.#ids.next();
    const promise = new Promise<Ack>((resolve, reject) => {
      if (!MEMBERS.test(op)) throw new TypeError(`no op id: ${op}`);
      if (this.#over) throw this.#over;
      const keep = options.keep ?? name.endsWith(".send");
      // a copy: what the caller changes later is not said
      const said = JSON.parse(JSON.stringify(args)) as Json;
      this.#enter({ op, log: options.log ?? "", name, args: said, keep });
      this.#waiters.set(op, [...(this.#waiters.get(op) ?? []), { resolve, reject }]);
    });
    promise.catch(() => {}); // who does not wait learns it from the events
    return Object.assign(promise, { op });
  }

  /** Send a failed call again. */
  retry(op: string): void {
    const pending = this.outbox.get(op);
    if (pending?.state !== "failed") return;
    this.requeue(op);
    this.#save(pending, () => this.#host.tell({ m: "retry", op }));
  }

  /** Forget a call that has failed, or that was surely never sent. */
  discard(op: string): boolean {
    const pending = this.outbox.get(op);
    if (!pending || (pending.state !== "failed" && !this.#unsent.has(op))) return false;
    this.drop(op);
    this.#host.tell({ m: "drop", op });
    this.#host.keep([["o/" + pending.key, undefined]]);
    return true;
  }

  // --- from the store and other tabs ----------------------------------------------------------

  /** A call that is in the store. */
  take(pending: Pending): void {
    if (this.outbox.get(pending.op)) return;
    const state = pending.state === "failed" ? "failed" : "queued";
    this.outbox.load({ ...pending, state });
    this.#touch();
  }

  /** A change that another tab made. */
  mark(op: string, state: "queued" | "sent"): void {
    this.outbox.mark(op, state);
    this.#touch();
  }

  drop(op: string): void {
    this.outbox.done(op);
    this.#unsent.delete(op);
    this.#settle(op, (waiter) => waiter.reject(new Refusal("discarded")));
    this.#touch();
  }

  /** A failed call is to be sent again. */
  requeue(op: string): void {
    const pending = this.outbox.get(op);
    if (!pending) return;
    this.outbox.load(pending); // at the end of its lane
    this.mark(op, "queued");
  }

  /** Calls that this tab made, or waits for, and that are in the store. */
  own(): Pending[] {
    const mine = ({ op, state }: Pending) => state !== "failed" && this.#waiters.has(op);
    return this.outbox.all().filter((pending) => mine(pending) && !this.outbox.isHeld(pending.op));
  }

  /** What the leader has: what only this tab believes to wait is over. */
  join(calls: readonly Pending[]): void {
    const known = new Set(calls.map(({ op }) => op));
    for (const { op } of this.outbox.all()) {
      if (!known.has(op) && !this.#waiters.has(op) && !this.outbox.isHeld(op)) this.drop(op);
    }
    for (const call of calls) {
      this.take(call);
      this.outbox.mark(call.op, call.state, call.error);
    }
    this.#touch();
  }

  /** This tab owns the connection from now on: what had been sent may not have arrived. */
  lead(): void {
    this.#handed = 0;
    for (const { op, state } of this.outbox.all()) if (state === "sent") this.mark(op, "queued");
  }

  /** A call has ended, told by the session or by another tab. */
  finish(op: string, ending: Ending): void {
    const pending = this.outbox.get(op);
    this.#unsent.delete(op);
    this.#touch();
    if ("ack" in ending) {
      this.outbox.done(op);
      if (pending) {
        this.#stored(pending, ending.ack);
        const { log, name } = pending;
        this.#host.emit("acked", { op, log, name, ack: ending.ack });
      }
      this.#settle(op, (waiter) => waiter.resolve(ending.ack));
      return;
    }
    const error = errorFromTab(ending.error) as Refusal;
    if (ending.kept) this.outbox.mark(op, "failed", { code: error.code, text: error.message });
    else this.outbox.done(op);
    if (pending) {
      const { log, name } = pending;
      this.#host.emit("refused", { op, log, name, error });
    }
    this.#settle(op, (waiter) => waiter.reject(error));
  }

  // --- for the owner of the connection --------------------------------------------------------

  due(): number | undefined {
    return this.#handed < AT_ONCE ? this.outbox.due() : undefined;
  }

  work(now: number): void {
    for (const pending of this.outbox.ready(now, AT_ONCE - this.#handed)) {
      const { op, log, name, args } = pending;
      this.#unsent.delete(op);
      this.#touch();
      try {
        this.#host.session!.call({ op, log, name, args });
        this.#handed += 1;
        this.#host.tell({ m: "mark", op, state: "sent" });
      } catch (error) {
        if (!(error instanceof FrameTooBig)) throw error;
        this.#refuse(pending, error);
      }
    }
  }

  answered({ op }: Call, ack: Ack): void {
    this.#handed -= 1;
    const pending = this.outbox.get(op);
    if (pending) this.#end(pending, { ack });
  }

  /** A call was not done: try again later with the same op, or give up for good. */
  refused({ op }: Call, why: Refusal, now: number): void {
    this.#handed -= 1;
    const pending = this.outbox.get(op);
    if (!pending) return;
    if (!why.retry && !(why instanceof Unauthenticated)) return this.#refuse(pending, why);
    this.outbox.later(op, now, why.retryAfterMs);
    this.#touch();
    this.#host.tell({ m: "mark", op, state: "queued" });
    if (why instanceof Unauthenticated) this.#renew(why);
  }

  /** Nothing will be sent any more by this tab. */
  stop(error: Error): void {
    this.#over = error;
    for (const op of [...this.#waiters.keys()]) this.#settle(op, (waiter) => waiter.reject(error));
  }

  // --- inside ---------------------------------------------------------------------------------

  /** Ops of this tab that no session was given: they may be taken back. */
  #unsent = new Set<string>();

  #enter(call: { op: string; log: string; name: string; args: Json; keep: boolean }): void {
    const held = this.outbox.get(call.op);
    if (held) {
      const same = held.log === call.log && held.name === call.name;
      if (!same || ordered(held.args) !== ordered(call.args)) {
        throw new Clash(`op ${call.op} is that of another call in the outbox`);
      }
      this.retry(call.op);
      return;
    }
    const pending = this.outbox.add(this.#ids.next(), call);
    this.#unsent.add(call.op);
    this.#touch();
    this.#save(pending, () => this.#host.tell({ m: "add", pending }));
  }

  /** Sent only once it is in the store, also when the caller is gone by then. */
  #save(pending: Pending, then: () => void): void {
    const { op } = pending;
    this.#host.keeper.save([["o/" + pending.key, { ...pending }]]).then(
      () => {
        if (!this.outbox.get(op)) return; // discarded meanwhile
        this.outbox.release(op);
        if (!this.#host.session) this.#unsent.delete(op); // another tab may send it at any moment
        then();
        this.#host.poke();
      },
      (error: unknown) => {
        this.outbox.done(op);
        this.#touch();
        this.#settle(op, (waiter) => waiter.reject(error));
        this.#host.trouble(error);
      },
    );
  }

  #refuse(pending: Pending, why: Refusal): void {
    this.#end(pending, { error: errorToTab(why), kept: pending.keep });
  }

  /** Tell, then forget: whoever takes over in between asks again, and gets the same answer. */
  #end(pending: Pending, ending: Ending): void {
    const { op, key } = pending;
    this.#host.tell({ m: "done", op, ending });
    this.finish(op, ending);
    const now = this.outbox.get(op);
    const changes: [string, unknown][] = [["o/" + key, now && { ...now }]];
    for (const old of this.outbox.surplus()) {
      this.outbox.done(old.op);
      this.#host.tell({ m: "drop", op: old.op });
      changes.push(["o/" + old.key, undefined]);
    }
    this.#host.keep(changes);
  }

  #touch(): void {
    this.changed = true;
    this.#host.poke();
  }

  #settle(op: string, how: (waiter: Waiter) => void): void {
    const waiters = this.#waiters.get(op) ?? [];
    this.#waiters.delete(op);
    for (const waiter of waiters) how(waiter);
  }
}

/** JSON with sorted keys: as the server compares args. */
function ordered(value: Json): string {
  return JSON.stringify(value, (_key, part: Json) =>
    part && typeof part === "object" && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
