/** What was said of a recording, given back at its moments. Pure but for `ask`. */

import type { Json } from "@hongyan/sdk";
import type { Said } from "./lines.js";

const SLICE_MS = 60_000; // asked for at once
const AHEAD_MS = 15_000; // before what is there ends
const LATE_MS = 1_500; // a jump of the clock larger than this is a seek
const PAUSE_MS = 3_000; // after a question that failed
const PAGES = 5; // of a slice: of more is said than can be shown

/** An item of the archive, as far as it is shown. */
export interface Kept {
  off: number;
  from: string;
  at: number;
  media_ms: number;
  body: Json;
}

export interface Page {
  items: readonly Kept[];
  more: boolean;
  after: Json;
}

export type Ask = (fromMs: number, toMs: number, after?: Json) => Promise<Page>;

/** A recording's messages: `due` gives each when its moment comes. */
export class Reel {
  #said: Said[] = []; // by moment; ahead of the clock
  #to = 0; // what was asked for ends here
  #at = -1; // of the last look
  #asking: Promise<void> | undefined;
  #turn = 0; // of seeks
  #own = new Set<string>();

  constructor(private readonly ask: Ask) {}

  /** Said by this page just now: it is shown already. */
  saidNow(text: string, mediaMs: number): void {
    this.#own.add(`${mediaMs} ${text}`);
  }

  /** What was said between the last look and `ms`, and whether the clock was set. */
  due(ms: number): { lines: Said[]; jumped: boolean } {
    const jumped = this.#at < 0 || ms < this.#at || ms - this.#at > LATE_MS;
    if (jumped) this.#seek(ms);
    this.#at = ms;
    if (this.#to - ms < AHEAD_MS) this.#load();
    let n = 0;
    while (n < this.#said.length && this.#said[n]!.mediaMs <= ms) n += 1;
    const lines = this.#said.splice(0, n).filter((line) => !this.#own.has(`${line.mediaMs} ${line.text}`));
    return { lines, jumped };
  }

  /** Settles when what was asked for is there. */
  get ready(): Promise<void> {
    return this.#asking ?? Promise.resolve();
  }

  #seek(ms: number): void {
    this.#turn += 1;
    this.#said = [];
    this.#to = ms;
    this.#own.clear();
    this.#asking = undefined;
  }

  #load(): void {
    if (this.#asking) return;
    const [from, to, turn] = [this.#to, this.#to + SLICE_MS, this.#turn];
    const asking = this.#slice(from, to, turn)
      .catch(() => new Promise<void>((resolve) => setTimeout(resolve, PAUSE_MS))) // then asked again
      .finally(() => {
        if (this.#asking === asking) this.#asking = undefined;
      });
    this.#asking = asking;
  }

  async #slice(from: number, to: number, turn: number): Promise<void> {
    const found: Said[] = [];
    let after: Json | undefined;
    for (let pages = 0; pages < PAGES; pages += 1) {
      const page = await this.ask(from, to, after);
      found.push(...page.items.map(saidOf));
      after = page.after;
      if (!page.more) break;
    }
    if (turn !== this.#turn) return; // somewhere else by now
    this.#said.push(...found);
    this.#to = to;
  }
}

function saidOf({ off, from, at, media_ms: mediaMs, body }: Kept): Said {
  const { text = "", color = "", position = "scroll", by } = body as unknown as {
    text?: string;
    color?: string;
    position?: Said["position"];
    by?: string;
  };
  const id = `r${mediaMs}-${at}-${off}`;
  return { kind: "said", id, off, from: by ?? from, op: "", text, color, position, mediaMs, at, held: false };
}

const FIRST_STEP_MS = 60_000;
const LAST_STEP_MS = 10_000;
const MOST_STEPS = 40;

/** Where the messages of a recording end, in ms and 10 s too late at most; 0 = there are none. */
export async function endOf(ask: (fromMs: number) => Promise<number | undefined>): Promise<number> {
  let last = await ask(0);
  if (last === undefined) return 0;
  let step = FIRST_STEP_MS;
  let grows = true;
  for (let steps = 0; steps < MOST_STEPS && step >= LAST_STEP_MS; steps += 1) {
    const next = await ask(last + step);
    if (next !== undefined) last = next;
    else grows = false;
    step = grows ? step * 2 : step / 2;
  }
  return last;
}
