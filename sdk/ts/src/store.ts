/** Where a device keeps things: memory, or IndexedDB; and a writer that groups what is written. */

import type { Storage } from "./api.js";

/** As long as the page lives. */
export class MemoryStore implements Storage {
  #held = new Map<string, unknown>();

  async get(key: string): Promise<unknown> {
    return this.#held.get(key);
  }

  async put(changes: ReadonlyMap<string, unknown>): Promise<void> {
    const copies = Array.from(changes, ([key, value]) => [key, structuredClone(value)] as const);
    for (const [key, value] of copies) {
      if (value === undefined) this.#held.delete(key);
      else this.#held.set(key, value);
    }
  }

  async range(prefix: string): Promise<[string, unknown][]> {
    const found = [...this.#held].filter(([key]) => key.startsWith(prefix));
    return found.sort(([a], [b]) => (a < b ? -1 : 1));
  }

  async close(): Promise<void> {}
}

const KV = "kv";

/** One database with one table of keys and values. */
export class IndexedStore implements Storage {
  private constructor(private readonly db: IDBDatabase) {
    db.onversionchange = () => db.close(); // somebody deletes the database: do not block it
  }

  static open(name: string): Promise<IndexedStore> {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(KV);
    return settled(request).then((db) => new IndexedStore(db));
  }

  get(key: string): Promise<unknown> {
    return settled(this.#table().get(key));
  }

  put(changes: ReadonlyMap<string, unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      const work = this.db.transaction(KV, "readwrite", { durability: "strict" });
      work.oncomplete = () => resolve();
      work.onabort = work.onerror = () => reject(work.error ?? new Error("not written"));
      const table = work.objectStore(KV);
      try {
        for (const [key, value] of changes) {
          if (value === undefined) table.delete(key);
          else table.put(value, key);
        }
      } catch (error) {
        work.abort(); // what cannot be copied takes the rest along: all or nothing
        reject(error);
      }
    });
  }

  async range(prefix: string): Promise<[string, unknown][]> {
    const keys = IDBKeyRange.bound(prefix, prefix + "\uffff");
    const table = this.#table();
    const [names, values] = await Promise.all([
      settled(table.getAllKeys(keys)),
      settled(table.getAll(keys)),
    ]);
    return names.map((name, i) => [String(name), values[i]]);
  }

  async close(): Promise<void> {
    this.db.close();
  }

  #table(): IDBObjectStore {
    return this.db.transaction(KV).objectStore(KV);
  }
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the database refused"));
  });
}

/**
 * Writes in order, one transaction at a time. What comes while one runs goes together into the
 * next: a burst costs two. Each promise settles when its changes are durable.
 */
export class Keeper {
  #next = new Map<string, unknown>();
  #waiting: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  #running: Promise<void> | undefined;

  /** What is saved before `open` waits for it. */
  constructor(readonly opened: Promise<Storage>) {}

  save(changes: Iterable<readonly [string, unknown]>): Promise<void> {
    for (const [key, value] of changes) this.#next.set(key, value);
    const done = new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#running ??= this.#write();
    return done;
  }

  /** Write what is left and let go. */
  async close(): Promise<void> {
    while (this.#running) await this.#running;
    await (await this.opened).close();
  }

  /** Forget everything. */
  async wipe(): Promise<void> {
    const all = await (await this.opened).range("");
    await this.save(all.map(([key]) => [key, undefined] as const));
  }

  async #write(): Promise<void> {
    while (this.#waiting.length) {
      await Promise.resolve(); // what the same turn of the loop brings goes together
      const [changes, waiting] = [this.#next, this.#waiting];
      this.#next = new Map();
      this.#waiting = [];
      try {
        await (await this.opened).put(changes);
        for (const { resolve } of waiting) resolve();
      } catch (error) {
        for (const { reject } of waiting) reject(error);
      }
    }
    this.#running = undefined; // in the same step as the look above: nothing slips in between
  }
}
