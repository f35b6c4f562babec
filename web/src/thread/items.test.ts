import { describe, expect, it } from "vitest";
import type { Entry, PendingCall, Shown } from "@hongyan/sdk";
import { cursorsByEntries, reachOf, reactionsOf } from "./folded.js";
import { echoOf, type Given, type Item, itemsOf } from "./items.js";

const DAY = 86_400_000;
const T = 20_000 * DAY + 3_600_000;

function entry(seq: number, more: Partial<Entry> = {}): Entry {
  return {
    seq, type: "message", from: "bob", at: T + seq * 1000, ord: seq, count: true, target: 0, slot: "", op: "", device: "",
    body: { content: { type: "text", text: `m${seq}` } }, ...more,
  };
}

function shown(e: Entry, more: Partial<Shown> = {}): Shown {
  return { entry: e, body: e.body, recalled: false, hidden: false, edited: false, slots: new Map(), ...more };
}

const given = (list: Shown[], more: Partial<Given> = {}): Given => ({
  shown: list, pending: [], self: "alice", device: "web-1", unreadAfter: null, dayOf: (at) => Math.floor(at / DAY), ...more,
});

const kinds = (items: Item[]) => items.map((i) => i.kind).join(" ");

describe("itemsOf", () => {
  it("separates days and leaves out what is not shown", () => {
    const items = itemsOf(given([
      shown(entry(1)),
      shown(entry(2, { type: "reaction", count: false })),
      shown(entry(3), { hidden: true }),
      shown(entry(4, { at: T + DAY })),
      shown(entry(5, { type: "joined", count: false, at: T + DAY })),
      shown(entry(6, { type: "from the future", count: false, at: T + DAY })),
    ]));
    expect(kinds(items)).toBe("day message day message note");
  });

  it("gives no two rows the same key, whatever the clocks and the outbox say", () => {
    const call: PendingCall = { op: "x1", log: "l", name: "chat.send", args: { content: { type: "text", text: "hi" } }, at: T, state: "sent" };
    const echo = echoOf(call, () => "", () => "")!;
    const list = [shown(entry(1, { at: T + DAY })), shown(entry(2)), shown(entry(3, { at: T + DAY })), shown(entry(4))];
    const items = itemsOf(given(list, { pending: [echo, { ...echo }] }));
    expect(new Set(items.map((i) => i.key)).size).toBe(items.length);
    expect(items.filter((i) => i.kind === "pending")).toHaveLength(1);
    expect(items.filter((i) => i.kind === "day")).toHaveLength(4);
  });

  it("draws the unread line once, before the first unread message of somebody else", () => {
    const list = [1, 2, 3, 4].map((n) => shown(entry(n, n === 3 ? { from: "alice" } : {})));
    expect(kinds(itemsOf(given(list, { unreadAfter: 2 })))).toBe("day message message message unread message");
    expect(kinds(itemsOf(given(list, { unreadAfter: 9 })))).not.toContain("unread");
  });

  it("joins the messages of one sender, not over a pause, a note or a recall", () => {
    const list = [
      shown(entry(1)), shown(entry(2)), shown(entry(3, { from: "carol" })),
      shown(entry(4, { from: "carol", at: T + 3_600_000 })),
      shown(entry(5, { from: "carol", at: T + 3_600_000 }), { recalled: true, body: {} }),
    ];
    const runs = itemsOf(given(list)).flatMap((i) => ("first" in i ? [`${i.first ? "[" : ""}${"seq" in i ? i.seq : ""}${i.last ? "]" : ""}`] : []));
    expect(runs).toEqual(["[1", "2]", "[3]", "[4]", "[5]"]);
  });

  it("shows a pending message until its entry is there, under the same key", () => {
    const call: PendingCall = { op: "x1", log: "l", name: "chat.send", args: { content: { type: "text", text: "hi" } }, at: T, state: "sent" };
    const echo = echoOf(call, () => "", () => "")!;
    const before = itemsOf(given([shown(entry(1))], { pending: [echo] }));
    const after = itemsOf(given([shown(entry(1)), shown(entry(2, { from: "alice", op: "x1", device: "web-1" }))], { pending: [echo] }));
    expect(kinds(before)).toBe("day message pending");
    expect(kinds(after)).toBe("day message message");
    expect(after.at(-1)!.key).toBe(before.at(-1)!.key);
  });

  it("has no two items of one key, also for a forward of many", () => {
    const many = [1, 2, 3].map((n) => shown(entry(n, { from: "alice", op: "f", device: "web-1" })));
    const keys = itemsOf(given(many)).map((i) => i.key);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe("echoOf", () => {
  it("is for messages only, and tells what is answered", () => {
    const base = { op: "x", log: "l", at: T, state: "failed", error: { code: 204, text: "muted" } } as const;
    expect(echoOf({ ...base, name: "chat.react", args: {} }, () => "", () => "")).toBeNull();
    const reply = echoOf({ ...base, name: "chat.send", args: { content: { type: "text", text: "a" }, reply_to: 4, quote: "q" } }, () => "bob", () => "")!;
    expect(reply.body.reply).toEqual({ seq: 4, author: "bob", quote: "q" });
    expect([reply.sending, reply.error]).toEqual(["failed", "muted"]);
  });
});

describe("folded", () => {
  const slot = (seq: number, from: string, emoji: string, on = true): [string, Entry] =>
    [`react:${from}:${emoji}`, entry(seq, { type: "reaction", from, body: on ? { emoji } : { emoji, on }, target: 1 })];

  it("counts reactions that are on, in the order in which they came", () => {
    const s = shown(entry(1), { slots: new Map([slot(5, "bob", "🎉"), slot(4, "alice", "👍"), slot(6, "carol", "👍"), slot(7, "dave", "👎", false)]) });
    expect(reactionsOf(s, "alice")).toEqual([
      { emoji: "👍", users: ["alice", "carol"], mine: true },
      { emoji: "🎉", users: ["bob"], mine: false },
    ]);
  });

  it("tells how far a message is by the others' cursors", () => {
    expect([1, 2, 3].map((seq) => reachOf(seq, { read: 1, delivered: 2 }))).toEqual(["read", "delivered", "stored"]);
    const list = [shown(entry(1)), shown(entry(2)), shown(entry(3, { from: "alice" }))];
    expect(cursorsByEntries(list, "alice")).toEqual({ read: 2, delivered: 2 });
    expect(cursorsByEntries([], "alice")).toEqual({ read: 0, delivered: 0 });
  });
});
