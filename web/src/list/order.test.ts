import { describe, expect, it } from "vitest";
import type { InboxRow } from "@hongyan/sdk";
import { listed, passes, waiting } from "./order.js";
import { scrolledTo, windowOf } from "./window.js";

const row = (log: string, at: number, more: Partial<InboxRow> = {}): InboxRow =>
  ({
    log,
    useq: at,
    head: 5,
    role: 1,
    unread: 0,
    mentions: 0,
    marked: false,
    cleared: 0,
    settings: {},
    state: {},
    last: at ? { at, seq: 5 } : null,
    ...more,
  }) as InboxRow;
const title = (r: InboxRow) => r.log.split("/")[2] ?? "";
const lookedFor = (r: InboxRow) => [title(r), r.log];
const names = (rows: InboxRow[]) => rows.map(title);

describe("the list", () => {
  const rows = [
    row("main/d/old", 10),
    row("main/g/new", 30),
    row("main/d/top", 1, { settings: { pinned: true } }),
    row("main/d/away", 40, { settings: { archived: true }, unread: 2 }),
    row("main/u/me", 50),
    row("main/g/left", 60, { role: 0, cleared: 5 }),
  ];

  it("puts pinned ones first, then the newest; hides archived, own and cleared ones", () => {
    expect(names(listed(rows, "all", "", lookedFor))).toEqual(["top", "new", "old"]);
    expect(names(listed(rows, "archived", "", lookedFor))).toEqual(["away"]);
    expect(names(listed(rows, "groups", "", lookedFor))).toEqual(["new"]);
  });

  it("puts what nobody said anything in where it came", () => {
    const fresh = row("main/g/fresh", 0, { useq: 35 });
    expect(names(listed([...rows, fresh], "all", "", lookedFor))).toEqual(["top", "fresh", "new", "old"]);
    const older = row("main/g/older", 0, { useq: 15 });
    expect(names(listed([...rows, older], "all", "", lookedFor))).toEqual(["top", "new", "older", "old"]);
  });

  it("forgets what is over and cleared", () => {
    expect(passes(row("main/g/a", 1, { role: 0 }), "all")).toBe(true);
    expect(passes(row("main/g/a", 1, { state: { dissolved_at: 9 }, cleared: 5 }), "all")).toBe(false);
    expect(passes(row("main/g/a", 1, { cleared: 5 }), "all")).toBe(true);
  });

  it("shows unread and marked ones, archived ones only when they mention", () => {
    expect(passes(row("main/d/a", 1, { unread: 1 }), "unread")).toBe(true);
    expect(passes(row("main/d/a", 1, { marked: true }), "unread")).toBe(true);
    expect(names(listed(rows, "unread", "", lookedFor))).toEqual([]);
    const called = row("main/g/b", 1, { mentions: 1, settings: { archived: true } });
    expect(passes(called, "unread")).toBe(true);
    expect(waiting(rows, "archived")).toBe(1);
  });

  it("finds archived ones by title, best first", () => {
    expect(names(listed(rows, "unread", "w", lookedFor))).toEqual(["away", "new"]);
    expect(names(listed(rows, "all", "ne", lookedFor))).toEqual(["new"]);
  });
});

describe("the window", () => {
  it("draws what is seen and a little more, never outside", () => {
    expect(windowOf(0, 720, 72, 10_000)).toEqual({ from: 0, to: 17 });
    expect(windowOf(7200, 720, 72, 10_000)).toEqual({ from: 94, to: 117 });
    expect(windowOf(720_000, 720, 72, 10_000).to).toBe(10_000);
    expect(windowOf(5000, 720, 72, 3)).toEqual({ from: 3, to: 3 });
    expect(windowOf(0, 720, 72, 0)).toEqual({ from: 0, to: 0 });
  });

  it("scrolls only as far as needed", () => {
    expect(scrolledTo(0, 100, 300, 50)).toBe(0);
    expect(scrolledTo(3, 100, 300, 50)).toBe(100);
    expect(scrolledTo(9, 100, 300, 50)).toBe(200);
  });
});
