/** One open conversation: its entries, what is on its way, how far the others have read. */

import { computed, type ReadonlySignal, signal, type Signal } from "@preact/signals";
import type { Client, Entry, InboxRow, Replica } from "@hongyan/sdk";
import { client, entryLine, isDirect, me, outbox, reasonFor, reasonOf, rows } from "../session/index.js";
import { dayOf } from "../ui/index.js";
import { cursorsByEntries, type Cursors } from "./folded.js";
import { echoOf, type Item, itemsOf, type PendingItem } from "./items.js";
import { forgetMembers } from "./members.js";
import { provisional, uploads } from "./uploads.js";
import { words } from "./words.js";

const PAGE = 100; // entries brought in at once
const GUESSES = 8; // jumps at most to find the first unread message
const HEARD = 6000; // ms after which the words for the screen reader go
const NO_CURSORS: Cursors = { read: 0, delivered: 0 };

export class ThreadStore {
  /** Something can be shown. */
  readonly ready = signal(false);
  /** Why nothing can be shown; "" otherwise. */
  readonly error = signal("");
  readonly busy = signal<"" | "older" | "newer">("");
  /** The newest entries are held: what comes is shown by itself. */
  readonly live = signal(true);
  /** There is nothing older. */
  readonly complete = signal(false);
  /** New messages of others since the thread was opened, for the reader's ear. */
  readonly heard = signal<Entry | null>(null);
  readonly items: ReadonlySignal<Item[]>;
  /** How far others are, for the ticks. */
  readonly others: ReadonlySignal<Cursors>;

  private replica: Replica | null = null;
  private readonly version = signal(0);
  private readonly told = signal<Cursors>(NO_CURSORS);
  private readonly unreadAfter = signal<number | null>(null);
  /** Calls that are stored but whose entry is not here yet. */
  private readonly between = signal<readonly PendingItem[]>([]);
  private echoes: readonly PendingItem[] = [];
  private readonly off: (() => void)[] = [];
  private readonly lines = new Map<number, Signal<string>>();
  private newest = 0;
  private quiet = 0;
  private closed = false;

  constructor(readonly log: string) {
    this.items = computed(() => this.drawn());
    this.others = computed(() => this.reached());
  }

  /** Load the newest entries, or those around the first unread one. */
  async open(): Promise<void> {
    const api = client();
    const row = rows.peek().get(this.log);
    this.newest = Math.max(this.newest, row?.head ?? 0);
    if (row && row.unread > 0) this.unreadAfter.value = row.ord - row.unread;
    if (this.off.length === 0) this.listen(api);
    try {
      const replica = await api.open(this.log);
      if (this.closed) return replica.close();
      this.replica = replica;
      const base = this.unreadAfter.peek();
      if (row && base !== null) {
        // Offline it may not be had: then what is held is shown, from its end.
        await this.toUnread(replica, row, base + 1).catch(() => undefined);
      }
      this.error.value = "";
      this.refresh();
      this.ready.value = true;
    } catch (error) {
      this.error.value = reasonOf(error);
    }
    void this.askReceipts();
  }

  private listen(api: Client): void {
    this.off.push(
      api.on("log", ({ log, entries }) => log === this.log && this.changed(entries)),
      api.on("receipt", (r) => r.log === this.log && r.user !== me.peek()?.user && this.receipt(r)),
      api.on("acked", ({ op, log }) => log === this.log && this.stored(op)),
      api.on("status", ({ state }) => {
        if (state === "open" && this.error.peek() && !this.replica) void this.open();
      }),
    );
  }

  /**
   * Hold the entry whose `ord` is the first unread one. Its seq is not known, only that not more
   * than `unread` countable entries follow: guess, look, and correct by what is missing.
   */
  private async toUnread(replica: Replica, row: InboxRow, ord: number): Promise<void> {
    let seq = row.head - row.unread + 1;
    for (let n = 0; n < GUESSES; n += 1) {
      const first = replica.shown[0]?.entry;
      const last = replica.shown.at(-1)?.entry;
      if (!first || !last) return;
      const early = ord - last.ord; // countable entries that lie between
      const late = first.ord - ord;
      if (early <= 0 && (late <= 0 || replica.low <= replica.floor)) return;
      if (n > 0) seq = early > 0 ? last.seq + early : first.seq - late - 1;
      await replica.around(Math.max(replica.floor, Math.min(seq, row.head)), PAGE);
    }
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.quiet);
    for (const each of this.off.splice(0)) each();
    this.replica?.close();
    this.replica = null;
  }

  get(seq: number) {
    return this.replica?.get(seq);
  }

  /** The message at `seq` in one line, asked for when it is not held; "" until it is there. */
  lineOf(seq: number): string {
    this.version.value;
    const held = this.replica?.get(seq);
    if (held) return entryLine({ ...held.entry, body: held.body });
    let line = this.lines.get(seq);
    if (!line) {
      this.lines.set(seq, (line = signal("")));
      void this.fetchLine(seq, line);
    }
    return line.value;
  }

  private async fetchLine(seq: number, line: Signal<string>): Promise<void> {
    try {
      const page = await client().read(this.log, { after: seq - 1 }, 1);
      const entry = page.entries[0];
      if (entry?.seq !== seq) return;
      const amend = page.amends.find((a) => a.target === seq && (a.slot === "edit" || a.slot === "recall"));
      line.value = entryLine(amend?.slot === "recall" ? { ...entry, body: {} } : { ...entry, body: amend?.body ?? entry.body });
    } catch {
      this.lines.delete(seq); // offline: asked again when it is drawn again
    }
  }

  /** Bring in what is before; resolves when it is drawn or nothing came. */
  async older(): Promise<void> {
    const replica = this.replica;
    if (!replica || this.busy.peek() || this.complete.peek()) return;
    this.busy.value = "older";
    try {
      await replica.older(PAGE);
    } catch {
      // offline: what is held is shown; scrolling asks again
    } finally {
      this.busy.value = "";
      this.refresh();
    }
  }

  /** After a jump: bring in what follows. */
  async newer(): Promise<void> {
    const replica = this.replica;
    if (!replica || this.busy.peek() || replica.live) return;
    this.busy.value = "newer";
    try {
      await replica.newer(PAGE);
    } catch {
      // as above
    } finally {
      this.busy.value = "";
      this.refresh();
    }
  }

  /** Hold the entry at `seq`; false when it cannot be had. */
  async reach(seq: number): Promise<boolean> {
    const replica = this.replica;
    if (!replica) return false;
    if (seq < replica.low || seq > replica.high) {
      try {
        await replica.around(seq, PAGE);
      } catch {
        return false;
      }
      this.refresh();
    }
    return replica.get(seq) !== undefined;
  }

  /** Go back to the newest entries. */
  async toEnd(): Promise<void> {
    const replica = this.replica;
    if (!replica || replica.live) return;
    const head = rows.peek().get(this.log)?.head ?? 0;
    try {
      if (head > replica.high) await replica.around(head, PAGE);
      while (!(await replica.newer(PAGE)));
    } catch {
      // offline: the end is not here
    }
    this.refresh();
  }

  /** The unread line has done its duty. */
  dropUnreadLine(): void {
    this.unreadAfter.value = null;
  }

  /** Highest seq that is held, for the read cursor at the end of a live thread. */
  get high(): number {
    return this.replica?.high ?? 0;
  }

  private refresh(): void {
    const replica = this.replica;
    if (!replica) return;
    this.live.value = replica.live;
    this.complete.value = replica.low <= replica.floor;
    const waiting = this.between.peek();
    if (waiting.length) {
      const here = new Set(replica.shown.map((s) => s.entry.op));
      this.between.value = waiting.filter((p) => !here.has(p.op));
    }
    this.version.value += 1;
  }

  private changed(entries: readonly Entry[]): void {
    this.refresh();
    const self = me.peek()?.user;
    // What a jump or an older page brings is not new.
    const fresh = entries.filter((e) => e.seq > this.newest);
    for (const e of fresh) {
      this.newest = Math.max(this.newest, e.seq);
      if (e.type === "joined" || e.type === "left" || e.type === "nickname") forgetMembers(this.log);
    }
    const heard = this.heard.peek()?.seq;
    if (heard && fresh.some((e) => e.target === heard && e.slot === "recall")) this.heard.value = null;
    const last = fresh.filter((e) => e.count && e.from !== self).at(-1);
    if (!last || !this.ready.peek()) return;
    this.heard.value = last;
    clearTimeout(this.quiet);
    this.quiet = window.setTimeout(() => (this.heard.value = null), HEARD);
  }

  private stored(op: string): void {
    const echo = this.echoes.find((p) => p.op === op);
    if (!echo || this.replica?.shown.some((s) => s.entry.op === op)) return;
    if (this.replica?.live) this.between.value = [...this.between.peek(), { ...echo, sending: "sent" }];
  }

  private drawn(): Item[] {
    this.version.value;
    const pending = [...this.between.value, ...this.pending()];
    const live = this.live.value;
    return itemsOf({
      shown: this.replica?.shown ?? [],
      pending: live ? pending : [],
      self: me.value?.user ?? "",
      device: client().device,
      unreadAfter: this.unreadAfter.value,
      dayOf,
    });
  }

  private pending(): PendingItem[] {
    const w = words();
    const found: PendingItem[] = [];
    for (const call of outbox.value) {
      if (call.log !== this.log) continue;
      const echo = echoOf(
        call,
        (seq) => this.get(seq)?.entry.from ?? "",
        (sources) => w.forwarding(sources.length),
        reasonFor,
      );
      if (echo) found.push(echo);
    }
    for (const upload of uploads.value) {
      if (upload.log !== this.log) continue;
      found.push({
        kind: "pending", key: `o:${upload.op}`, op: upload.op, at: upload.at, first: true, last: true,
        sending: upload.state === "failed" ? "failed" : "uploading",
        error: upload.error || (upload.state === "failed" ? w.uploadFailed : ""),
        body: { content: provisional(upload) }, upload: upload.id,
      });
    }
    this.echoes = found;
    return found.sort((a, b) => a.at - b.at);
  }

  private receipt(r: { delivered: number; read: number }): void {
    const old = this.told.peek();
    const read = Math.max(old.read, r.read);
    this.told.value = { read, delivered: Math.max(old.delivered, r.delivered, read) };
  }

  private reached(): Cursors {
    this.version.value;
    const row = rows.value.get(this.log);
    const told = this.told.value;
    const by = cursorsByEntries(this.replica?.shown ?? [], me.value?.user ?? "");
    const read = Math.max(told.read, by.read, row?.peer_read ?? 0);
    return { read, delivered: Math.max(read, told.delivered, row?.peer_delivered ?? 0) };
  }

  /** In a group: what receipts told before this tab listened. */
  private async askReceipts(): Promise<void> {
    const self = me.peek()?.user ?? "";
    const mine = this.replica?.shown.filter((s) => s.entry.from === self && s.entry.count).at(-1);
    if (!mine || isDirect(this.log)) return;
    const { seq } = mine.entry;
    try {
      const found = await client().query<ReceiptAnswer>("receipts", { seq }, this.log);
      const some = (names?: string[], n = 0) => (names ? names.some((u) => u !== self) : n > 1);
      if (some(found.read_by, found.read)) this.receipt({ read: seq, delivered: seq });
      else if (some(found.delivered_to, found.delivered)) this.receipt({ read: 0, delivered: seq });
    } catch {
      // offline, or no receipts here: the ticks say "stored"
    }
  }
}

/** Who has got and who has read an entry: names in small groups, counts in larger ones. */
export interface ReceiptAnswer {
  mode: "names" | "counts" | "off";
  members: number;
  delivered?: number;
  read?: number;
  read_by?: string[];
  delivered_to?: string[];
}
