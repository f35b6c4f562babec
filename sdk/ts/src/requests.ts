/** A client's frames on their way out: numbered, sent within the window, kept until answered. */

import { BadFrame, FrameTooBig } from "./errors.gen.js";
import type { ClientFrame, Limits, ServerFrame } from "./frames.gen.js";

const MOST_FRAMES = 64; // of a message
const MOST_SIGNALS = 64; // waiting to be sent; further ones are dropped
const ANSWERS: Partial<Record<string, string>> = {
  call: "ack",
  cursor: "ack",
  subscribe: "ack attached",
  unsubscribe: "ack",
  read: "page",
  query: "result",
  sync: "inbox",
};
const utf8 = new TextEncoder();

/** A frame with a ref. `size` is that of its JSON, in bytes. */
export interface Request {
  readonly ref: number;
  readonly frame: ClientFrame;
  readonly size: number;
}

/** Calls and cursors are sent again on the next connection: they are harmless to repeat. */
function lasts({ frame }: Request): boolean {
  return frame.t === "call" || frame.t === "cursor";
}

/** Requests of one session over all its connections, and frames that want no answer. */
export class Requests {
  /** Of the newest welcome. */
  limits: Limits | undefined;
  #ref = 0;
  #waiting: Request[] = []; // not sent on this connection
  readonly #inflight = new Map<number, Request>(); // sent, in order, not answered
  #loose: { frame: ClientFrame; size: number }[] = []; // wants no answer

  /** A ref that was never used before. */
  nextRef(): number {
    return ++this.#ref;
  }

  /** Queue a request; throws FrameTooBig: it can never be sent. */
  ask(frame: ClientFrame & { ref?: number }, first = false): number {
    const request = { ref: frame.ref ?? 0, frame, size: sizeOf(frame) };
    this.#checkSize(request);
    if (first) this.#waiting.unshift(request);
    else this.#waiting.push(request);
    return request.ref;
  }

  /** Queue a frame that wants no answer; false = a signal that was dropped. */
  say(frame: ClientFrame): boolean {
    const signals = this.#loose.filter((held) => held.frame.t === "signal").length;
    if (frame.t === "signal" && signals >= MOST_SIGNALS) return false;
    this.#loose.push({ frame, size: sizeOf(frame) });
    return true;
  }

  /** A session is open under these limits; requests that do not fit them are given back. */
  opened(limits: Limits): { request: Request; why: FrameTooBig }[] {
    this.limits = limits;
    const refused: { request: Request; why: FrameTooBig }[] = [];
    this.#waiting = this.#waiting.filter((request) => {
      if (request.size <= limits.message_bytes) return true;
      refused.push({ request, why: tooBig(request.size, limits) });
      return false;
    });
    return refused;
  }

  /** The connection is gone: what lasts waits again, in its order; the rest is given back. */
  lost(): Request[] {
    const requests = [...this.#inflight.values(), ...this.#waiting];
    this.#inflight.clear();
    this.#loose = [];
    this.#waiting = requests.filter(lasts);
    return requests.filter((request) => !lasts(request));
  }

  /** The request that this answers; undefined = it was answered before. Throws BadFrame. */
  answered(ref: number, answer: ServerFrame["t"]): Request | undefined {
    const request = this.#inflight.get(ref);
    if (request && !ANSWERS[request.frame.t]?.split(" ").includes(answer)) {
      throw new BadFrame(`${answer} answers ${request.frame.t}`);
    }
    this.#inflight.delete(ref);
    return request;
  }

  /** The request that was refused. */
  failed(ref: number): Request | undefined {
    const request = this.#inflight.get(ref);
    this.#inflight.delete(ref);
    return request;
  }

  /** The frames of the next message, within the server's limits; none = nothing may be sent. */
  take(most: number): ClientFrame[] {
    const limits = this.limits;
    if (!limits) return [];
    most = Math.min(most, limits.message_bytes);
    const frames: ClientFrame[] = [];
    let size = 1; // of the array: brackets and a comma between two
    while (frames.length < MOST_FRAMES) {
      const loose = this.#loose[0];
      const request = this.#inflight.size < limits.window ? this.#waiting[0] : undefined;
      const next = loose ?? request;
      if (!next || ((size += next.size + 1) > most && frames.length > 0)) break;
      frames.push(next.frame);
      if (loose) {
        this.#loose.shift();
      } else if (request) {
        this.#waiting.shift();
        this.#inflight.set(request.ref, request);
      }
    }
    return frames;
  }

  #checkSize(request: Request): void {
    if (this.limits && request.size > this.limits.message_bytes) {
      throw tooBig(request.size, this.limits);
    }
  }
}

function sizeOf(frame: ClientFrame): number {
  return utf8.encode(JSON.stringify(frame)).length;
}

function tooBig(size: number, limits: Limits): FrameTooBig {
  return new FrameTooBig(`${size} bytes, limit ${limits.message_bytes}`);
}
