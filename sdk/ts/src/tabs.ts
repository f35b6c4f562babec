/**
 * Several tabs of one store share one connection.
 *
 * Whoever holds the lock is the leader and connects. It tells the others what the connection
 * brings, and they ask through it. Every tab keeps the list and its opened logs by itself, and
 * writes its own calls to the store before it tells of them: whoever leads next finds them there.
 * Nobody is trusted to say farewell: the lock of a tab that dies is free at once.
 */

import type { Status } from "./api.js";
import type { Core } from "./core.js";
import { errorFromTab, errorToTab } from "./errors.js";
import type { TabError } from "./errors.js";
import type { ClientFrame, InboxRow, Page, Result, Welcome } from "./frames.gen.js";
import type { Note } from "./host.js";
import type { Line } from "./line.js";
import type { Pending } from "./outbox.js";
import { LoggedOut, Offline, Stopped } from "./refusal.js";
import type { Asking } from "./session.js";
import { within } from "./shell.js";
import type { Shell } from "./shell.js";

type Told = Omit<Status, "error" | "leader"> & { error?: TabError };

type Message =
  | { m: "note"; note: Note }
  | { m: "who"; from: string }
  | { m: "lead" | "status"; status: Told; welcome: Welcome | undefined }
  | {
      m: "state";
      to: string;
      status: Told;
      welcome: Welcome | undefined;
      owner: string;
      device: string;
      rows: InboxRow[];
      calls: Pending[];
    }
  | { m: "ask"; from: string; id: number; frame: Asking; withinMs: number }
  | { m: "answer"; to: string; id: number; answer?: Page | Result; error?: TabError }
  | { m: "say"; frame: ClientFrame & { t: "signal" | "cursor" } }
  | { m: "wake" }
  | { m: "away"; from: string; away: boolean }
  | { m: "logout" };

interface Asked {
  frame: Asking;
  withinMs: number;
  resolve(answer: Page | Result): void;
  reject(error: unknown): void;
}

/** Whether this platform can share at all. */
export function canShare(): boolean {
  return typeof BroadcastChannel === "function" && globalThis.navigator?.locks !== undefined;
}

/** This tab among those of its store; the way to the leader while it is not the leader. */
export class Tabs implements Line {
  private readonly channel: BroadcastChannel;
  readonly #me = crypto.randomUUID();
  readonly #leave = new AbortController();
  private release: () => void = () => {};
  #early: Message[] | undefined = []; // before the store was read
  #asked = new Map<number, Asked>();
  #ids = 0;
  #hidden: boolean | undefined; // whether nobody looks at this tab; undefined: nobody said
  #seen = new Set<string>(); // tabs that somebody looks at

  readonly #core: Core;
  readonly #name: string;

  constructor(
    core: Core,
    name: string,
  ) {
    this.#core = core;
    this.#name = name;

    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (this.#early) this.#early.push(data);
      else this.#take(data);
    };
    core.line = this;
    core.tell = (note) => this.#post({ m: "note", note });
    core.told = () => this.#statusChanged();
  }

  /** The store is read: take part, and lead when it is this tab's turn. */
  start(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const message of early) this.#take(message);
    this.#post({ m: "who", from: this.#me });
    const { signal } = this.#leave;
    navigator.locks
      .request(this.#name, { signal }, async () => {
        if (signal.aborted) return;
        await this.#core.lead();
        this.#seen.clear(); // those who live say it again
        if (this.#hidden !== undefined) this.#isAway(this.#me, this.#hidden);
        this.#statusChanged("lead");
        for (const [id, { frame, withinMs }] of this.#asked) this.#answer(this.#me, id, frame, withinMs);
        await new Promise<void>((resolve) => {
          this.release = resolve;
          if (signal.aborted || this.#core.status.state === "stopped") resolve();
        });
      })
      .catch((error: unknown) => {
        if (!signal.aborted) this.#core.ended(error as Error);
      });
  }

  /** Leave the others; what this tab wrote is in the store. */
  close(): void {
    this.#post({ m: "away", from: this.#me, away: true });
    this.#leave.abort();
    this.release();
    this.channel.close();
  }

  /** All tabs are logged out. */
  logout(): void {
    this.#post({ m: "logout" });
  }

  // --- Line: through the leader ---------------------------------------------------------------

  get open(): boolean {
    return this.#core.status.state === "open";
  }

  ask(frame: Asking, withinMs: number): Promise<Page | Result> {
    const { error } = this.#core.status;
    if (this.#core.status.state === "stopped") return Promise.reject(error);
    const id = ++this.#ids;
    const answer = within<Page | Result>(withinMs, "no answer in time", (resolve, reject) => {
      this.#asked.set(id, { frame, withinMs, resolve, reject });
    });
    this.#post({ m: "ask", from: this.#me, id, frame, withinMs });
    return answer.finally(() => this.#asked.delete(id));
  }

  say(frame: ClientFrame & { t: "signal" | "cursor" }): void {
    this.#post({ m: "say", frame });
  }

  wake(): void {
    this.#post({ m: "wake" });
  }

  /** Also of the leader: nobody looks when nobody looks at any tab. */
  away(away: boolean): void {
    this.#hidden = away;
    this.#isAway(this.#me, away);
    this.#post({ m: "away", from: this.#me, away });
  }

  /** This tab's connection, if it leads. */
  get #shell(): Shell | undefined {
    const { shell } = this.#core;
    return shell?.error ? undefined : shell;
  }

  // --- what the others say ----------------------------------------------------------------------

  #take(message: Message): void {
    const core = this.#core;
    const shell = this.#shell;
    switch (message.m) {
      case "note":
        return core.noted(message.note);
      case "who":
        if (shell) this.#tellState(message.from);
        return;
      case "lead":
      case "status":
        if (shell) return;
        this.#follow(message.status, message.welcome);
        if (message.m === "lead") this.#again();
        return;
      case "state":
        if (message.to !== this.#me || shell) return;
        core.joined(message);
        return this.#follow(message.status, message.welcome);
      case "ask":
        if (shell) this.#answer(message.from, message.id, message.frame, message.withinMs);
        return;
      case "answer":
        return this.#answered(message);
      case "say":
        return core.say(message.frame);
      case "wake":
        return shell?.wake();
      case "away":
        return this.#isAway(message.from, message.away);
      case "logout":
        return core.leave(shell !== undefined, new LoggedOut("logged out in another tab"));
    }
  }

  #tellState(to: string): void {
    const core = this.#core;
    this.#post({
      m: "state",
      to,
      status: this.#told(),
      welcome: core.welcome,
      owner: core.owner,
      device: core.identity.device,
      rows: [...core.inbox.rows.byLog.values()],
      calls: core.sender.outbox.all(),
    });
  }

  /** Somebody else leads from now on, or I have just learnt who does: ask it what I still want. */
  #again(): void {
    this.#post({ m: "who", from: this.#me });
    if (this.#hidden !== undefined) this.away(this.#hidden);
    for (const [id, { frame, withinMs }] of this.#asked) {
      this.#post({ m: "ask", from: this.#me, id, frame, withinMs });
    }
    for (const pending of this.#core.sender.own()) {
      this.#post({ m: "note", note: { m: "add", pending } });
    }
  }

  #follow({ error, ...status }: Told, welcome: Welcome | undefined): void {
    const core = this.#core;
    const why = error && errorFromTab(error);
    if (status.state === "stopped") return core.ended(why ?? new Offline("stopped"));
    core.follow({ ...status, leader: false, ...(why && { error: why }) }, welcome);
  }

  #answer(to: string, id: number, frame: Asking, withinMs: number): void {
    const reply = (rest: { answer: Page | Result } | { error: TabError }) => {
      const message = { m: "answer", to, id, ...rest } as const;
      if (to === this.#me) this.#answered(message);
      else this.#post(message);
    };
    if (!this.#shell) return; // who leads next is asked again
    this.#shell.ask(frame, withinMs).then(
      (answer) => reply({ answer }),
      (error: unknown) => reply({ error: errorToTab(error) }),
    );
  }

  #answered(message: Message & { m: "answer" }): void {
    const asked = message.to === this.#me ? this.#asked.get(message.id) : undefined;
    if (message.error) asked?.reject(errorFromTab(message.error));
    else asked?.resolve(message.answer!);
  }

  #isAway(tab: string, away: boolean): void {
    if (away) this.#seen.delete(tab);
    else this.#seen.add(tab);
    this.#core.shell?.away(this.#seen.size === 0);
  }

  // --- what this tab says -----------------------------------------------------------------------

  #statusChanged(m: "status" | "lead" = "status"): void {
    const { state, error } = this.#core.status;
    // who closes this tab alone says nothing: the next one leads
    const quiet = !this.#core.shell || error instanceof Stopped;
    if (!quiet) this.#post({ m, status: this.#told(), welcome: this.#core.welcome });
    if (state !== "stopped") return;
    for (const { reject } of this.#asked.values()) reject(error);
    this.#leave.abort();
    this.release(); // a client made after this one may connect
  }

  #told(): Told {
    const { error, leader: _, ...status } = this.#core.status;
    return { ...status, ...(error && { error: errorToTab(error) }) };
  }

  #post(message: Message): void {
    if (!this.#closed) this.channel.postMessage(message);
  }

  get #closed(): boolean {
    return this.#leave.signal.aborted && this.#core.status.state !== "stopped";
  }
}
