/**
 * The session over its connections: connect, wait for the loss, pause, connect again.
 *
 * It has no timer but those of a pause: its owner calls `look` when something may be due.
 */

import type { GetToken, TransportName } from "./api.js";
import { BadFrame, GoingAway, TimedOut, Unauthenticated } from "./errors.gen.js";
import type { ClientFrame, Page, Result, ServerFrame } from "./frames.gen.js";
import { Ladder } from "./ladder.js";
import { connect, probe } from "./links.js";
import type { Endpoint, Link } from "./links.js";
import type { Line } from "./line.js";
import { backoffMs } from "./outbox.js";
import { Denied, Offline, Refusal, WrongUser } from "./refusal.js";
import type { Asking, Session, SessionEvent } from "./session.js";

const PROBE_MS = 5_000;
const TOKEN_MS = 30_000;
const ONCE_AGAIN_MS = 50;

/** Whom the shell works for. Nothing here waits. */
export interface Owner {
  /** An event of the session that is no answer to `ask`. */
  handle(event: SessionEvent): void;
  /** Something may be due: call `look` soon. */
  poke(): void;
  /** Connecting, open by `transport`, or waiting. */
  changed(state: "connecting" | "open" | "waiting", detail: { retryAt?: number; error?: Error }): void;
  /** Resolves when the session is open; rejects with Offline after `withinMs`, or the end. */
  opened(withinMs: number): Promise<void>;
  /** There will be no connection any more. */
  ended(error: Error): void;
}

interface Asked {
  resolve(answer: Page | Result): void;
  reject(error: unknown): void;
}

/** Monotonic ms. */
export const now = (): number => performance.now();

/** This tab's own connection. */
export class Shell implements Line {
  error: Error | undefined;
  private link: Link | undefined;
  #asked = new Map<number, Asked>();
  #why: Refusal | undefined; // of the end of this connection
  #heard = 0;
  #failures = 0; // in a row, without a welcome
  #wake_: (() => void) | undefined;
  readonly #ladder: Ladder;

  readonly #owner: Owner;
  readonly #getToken: GetToken;
  readonly #endpoint: Endpoint;

  constructor(
    owner: Owner,
    getToken: GetToken,
    endpoint: Endpoint,
    transports: readonly TransportName[],
    readonly session: Session,
  ) {
    this.#owner = owner;
    this.#getToken = getToken;
    this.#endpoint = endpoint;

    this.#ladder = new Ladder(transports);
  }

  // --- for the owner ------------------------------------------------------------------------

  get open(): boolean {
    return this.link !== undefined && this.session.state === "open";
  }

  get transport(): TransportName {
    return this.#ladder.current;
  }

  /** Send a read or query, again after a reconnect. Rejects with what the server refuses. */
  async ask(frame: Asking, withinMs: number): Promise<Page | Result> {
    const deadline = now() + withinMs;
    for (;;) {
      await this.#owner.opened(deadline - now());
      try {
        return await this.#askOnce(frame, deadline - now());
      } catch (error) {
        if (!(error instanceof GoingAway)) throw error;
        await new Promise((resolve) => setTimeout(resolve, ONCE_AGAIN_MS)); // the loss is on its way
      }
    }
  }

  say(frame: ClientFrame & { t: "signal" | "cursor" }): void {
    if (frame.t === "signal") this.session.signal(frame);
    else this.session.move(frame.log, frame);
    this.#owner.poke();
  }

  /** The network may have changed: try at once, or find out whether it still works. */
  wake(): void {
    this.#wake_?.();
    if (!this.open) return;
    this.session.sync();
    this.#owner.poke();
    const link = this.link;
    const heard = this.#heard;
    setTimeout(() => {
      if (link === this.link && heard === this.#heard) this.drop();
    }, PROBE_MS);
  }

  away(away: boolean): void {
    this.session.away = away;
  }

  /** Connect anew, with a new token. */
  renew(why: Refusal): void {
    this.#why = why;
    this.link?.close();
  }

  drop(): void {
    this.link?.close();
  }

  /** Do what is due, send what is queued. */
  look(): void {
    if (this.error || !this.link) return;
    for (const event of this.session.tick(now())) this.#handle(event);
    this.flush();
    const climb = this.#ladder.due();
    if (climb !== undefined && climb <= now() && this.open) void this.#climb();
  }

  flush(): void {
    while (this.link?.writable) {
      const frames = this.session.take();
      if (!frames.length) return;
      this.link.send(frames);
    }
  }

  due(): number | undefined {
    if (!this.link) return undefined;
    const times = [this.session.due(), this.#ladder.due()].filter((at) => at !== undefined);
    return times.length ? Math.min(...times) : undefined;
  }

  /** Say bye and close. */
  leave(logout: boolean, why: Error): void {
    const link = this.link;
    if (link && this.open) {
      this.flush();
      link.send([this.session.bye(logout)]);
    }
    this.stop(why);
    link?.close();
  }

  /** It is over: whoever waits is told why. Idempotent. */
  stop(error: Error): void {
    if (this.error) return;
    this.error = error;
    for (const { reject } of this.#asked.values()) reject(error);
    this.#wake_?.();
    this.#owner.ended(error);
  }

  /** Connect, again and again, until somebody says never again. */
  async run(): Promise<void> {
    while (!this.error) {
      this.#owner.changed("connecting", {});
      const reason = await this.#once();
      for (const event of this.session.lost(now())) this.#handle(event);
      const pause = this.#pause();
      if (pause === null || this.error) {
        this.stop(this.#why ?? new Refusal(reason));
        return;
      }
      const error = this.#why ?? new Offline(reason);
      this.#owner.changed("waiting", { retryAt: Date.now() + pause, error });
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        this.#wake_ = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake_ = undefined;
    }
  }

  // --- inside -------------------------------------------------------------------------------

  async #once(): Promise<string> {
    const fresh = this.#why instanceof Unauthenticated;
    this.#why = undefined;
    let token: string;
    try {
      token = await within(TOKEN_MS, "no token in time", (resolve, reject) => {
        this.#getToken(fresh).then(resolve, reject);
      });
    } catch (error) {
      if (error instanceof Denied) this.#why = error;
      else this.#failed(`no token: ${String(error)}`);
      return "no token";
    }
    if (this.error) return "closed";
    const hello = this.session.hello(token, now()) as ClientFrame & { t: "hello" };
    let welcomed = false;
    const reason = await new Promise<string>((resolve) => {
      this.link = connect(this.#ladder.current, this.#endpoint, hello, {
        message: (decode) => this.#received(decode),
        lost: (reason) => {
          welcomed = this.session.state === "open" || this.#wasOpened;
          resolve(reason);
        },
      });
      this.#owner.poke();
    }).catch(String); // a page may not be allowed to open a WebSocket at all
    this.link = undefined;
    const why = this.#why as Refusal | undefined; // set by what came meanwhile
    const silent = why instanceof TimedOut;
    if (!why || silent) this.#ladder.lost(welcomed, silent);
    if (!welcomed && !why) this.#failed(reason);
    this.#wasOpened = false;
    return reason;
  }

  #wasOpened = false; // a welcome came over this link

  #failed(text: string): void {
    this.#failures += 1;
    this.#why = new Offline(text, { retryAfterMs: backoffMs(this.#failures) });
  }

  /** Ms to the next try; null: never again by itself. */
  #pause(): number | null {
    const why = this.#why;
    if (why instanceof Unauthenticated) return backoffMs(++this.#failures); // a new token may help
    if (why instanceof Denied || why instanceof WrongUser) return null;
    const pause = this.session.reconnectIn(Math.random());
    return pause === null ? null : Math.max(pause, why?.retry ? why.retryAfterMs : 0);
  }

  #received(decode: () => ServerFrame[]): void {
    if (!this.link || this.error) return;
    this.#heard = now();
    try {
      for (const event of this.session.receive(decode(), this.#heard)) this.#handle(event);
    } catch (error) {
      this.link?.close(); // whatever it was: come back, and sync
      if (!(error instanceof BadFrame)) throw error;
      this.#why = error;
    }
    this.#owner.poke();
  }

  #handle(event: SessionEvent): void {
    if (event.t === "answered" || (event.t === "refused" && event.request)) {
      const asked = this.#asked.get(event.request!.ref);
      if (asked) {
        this.#asked.delete(event.request!.ref);
        if (event.t === "refused") asked.reject(event.why);
        else asked.resolve(event.answer as Page | Result);
        return;
      }
    }
    if (event.t === "closed") {
      this.#why = event.why;
      this.link?.close();
      return;
    }
    if (event.t === "opened") {
      this.#failures = 0;
      this.#wasOpened = true;
      this.#ladder.opened(now());
    }
    this.#owner.handle(event);
    if (event.t === "opened" && !this.error) this.#owner.changed("open", {});
  }

  #askOnce(frame: Asking, withinMs: number): Promise<Page | Result> {
    const ref = this.session.ask(frame);
    const answer = within<Page | Result>(withinMs, "no answer in time", (resolve, reject) => {
      this.#asked.set(ref, { resolve, reject });
    });
    this.#owner.poke();
    return answer.finally(() => this.#asked.delete(ref));
  }

  /** Try the best transport beside this one; change over when it works. */
  async #climb(): Promise<void> {
    this.#ladder.trying();
    const link = this.link;
    const works = await probe(this.#endpoint, PROBE_MS);
    if (link !== this.link || this.error) return;
    this.#ladder.tried(works, now());
    if (works) {
      this.#why = new GoingAway("a better transport works");
      link?.close();
    }
    this.#owner.poke();
  }
}

/** A promise that rejects with Offline when it takes longer. */
export function within<T = void>(
  ms: number,
  text: string,
  start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer =
      ms === Infinity ? undefined : setTimeout(() => reject(new Offline(text)), Math.max(0, ms));
    const end = <V>(settle: (value: V) => void) => (value: V) => {
      clearTimeout(timer);
      settle(value);
    };
    start(end(resolve), end(reject));
  });
}
