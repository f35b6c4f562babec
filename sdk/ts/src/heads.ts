/**
 * The digest of heads: how a client notices that the last push of a log was lost.
 *
 * It mirrors, from what the connection brings, the set that the server computes from its store.
 * Where the two go apart for another reason than loss, the price is one sync, never an error.
 */

import type { InboxRow } from "./frames.gen.js";

const MODULUS = 2 ** 53;
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** CRC-32 of ASCII text; ids are nothing else. */
export function crc32(text: string): number {
  let crc = -1;
  for (let i = 0; i < text.length; i++) {
    crc = TABLE[(crc ^ text.charCodeAt(i)) & 255]! ^ (crc >>> 8);
  }
  return (crc ^ -1) >>> 0;
}

/** One number of a set of (log, head): the order does not matter, 0 for none. */
export function headsDigest(pairs: Iterable<readonly [string, number]>): number {
  let sum = 0;
  for (const [log, head] of pairs) {
    const crc = crc32(`${log}:${head}`);
    sum = sum >= MODULUS - crc ? sum - (MODULUS - crc) : sum + crc; // no step beyond 2^53
  }
  return sum;
}

interface Moved {
  head: number;
  /** Of the row seen, or 0. */
  useq: number;
}

/** What a client knows of heads: of logs that changed since its token, and of large ones. */
export class Heads {
  #moved = new Map<string, Moved>();
  #rows = new Map<string, number>(); // of the sync that runs
  #before = new Map<string, Moved>(); // what had moved when it began
  readonly viewed = new Set<string>(); // live logs: no row stands for who only watches them
  large: Map<string, number>;

  /** `token` of the last finished sync and `large` as they were saved, or nothing. */
  constructor(
    public token = 0,
    large: Iterable<readonly [string, number]> = [],
  ) {
    this.large = new Map(large);
  }

  /** A push said that the log's head is at least `head`. */
  reached(log: string, head: number): void {
    const large = this.large.get(log);
    if (large !== undefined) {
      this.large.set(log, Math.max(large, head));
    } else if (this.#moved.has(log) || !this.viewed.has(log)) {
      this.#raise(log, head, 0);
    }
  }

  /** A row arrived by push. */
  pushed(row: InboxRow): void {
    if (!this.#takeLarge(row) && row.useq > this.token) this.#raise(row.log, row.head, row.useq);
  }

  /** A row arrived as part of a sync. */
  synced(row: InboxRow): void {
    if (!this.#takeLarge(row)) this.#rows.set(row.log, row.head);
  }

  /** A sync (or a hello) is asked for: what has moved by now is of before its token. */
  begin(): void {
    this.#before = new Map(this.#moved);
  }

  /** The sync is complete: forget what it covered, keep what moved after it began. */
  finish(token: number): void {
    // What had moved before and has not since is covered also where no row of it came: a
    // deliver that came late would else be counted for ever, and every heartbeat bring a sync.
    for (const [log, moved] of this.#before) {
      if (this.#moved.get(log) === moved) this.#moved.delete(log);
    }
    this.#before.clear();
    for (const [log, head] of this.#rows) {
      const known = this.#moved.get(log);
      if (known && known.head <= head && known.useq <= token) this.#moved.delete(log);
    }
    this.#rows.clear();
    this.token = token;
  }

  /** The sync that runs will not be finished (connection lost). */
  abandon(): void {
    this.#rows.clear();
  }

  /** The server listed all large logs, because the digest differed. */
  listLarge(large: readonly (readonly [string, number])[]): void {
    if (large.length === 0) return;
    const listed = new Map<string, number>();
    for (const [log, head] of large) {
      const seen = this.#moved.get(log)?.head ?? 0;
      this.#moved.delete(log);
      listed.set(log, Math.max(head, seen, this.large.get(log) ?? 0));
    }
    this.large = listed;
  }

  /** The digest to compare with that of a pong. */
  digest(): number {
    const moved = Array.from(this.#moved, ([log, { head }]) => [log, head] as const);
    return headsDigest([...moved, ...this.large]);
  }

  /** The digest of the large logs alone, for `hello` and `sync`. */
  largeDigest(): number {
    return headsDigest(this.large);
  }

  #raise(log: string, head: number, useq: number): void {
    const known = this.#moved.get(log);
    const next = { head: Math.max(known?.head ?? 0, head), useq: Math.max(known?.useq ?? 0, useq) };
    if (known?.head !== next.head || known.useq !== next.useq) this.#moved.set(log, next);
  }

  #takeLarge(row: InboxRow): boolean {
    if (row.large && row.role !== 0) {
      this.large.set(row.log, Math.max(row.head, this.large.get(row.log) ?? 0));
      this.#moved.delete(row.log);
      return true;
    }
    this.large.delete(row.log);
    return false;
  }
}
