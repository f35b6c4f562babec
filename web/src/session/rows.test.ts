import { describe, expect, it } from "vitest";
import type { InboxRow } from "@hongyan/sdk";
import { byActivity, isChat, peerOf } from "./rows.js";

function row(log: string, at: number, settings: object = {}, useq = 1): InboxRow {
  return { log, useq, settings, last: at ? { at } : null } as unknown as InboxRow;
}

describe("peerOf", () => {
  it("is the other side, oneself in notes, nobody in a group", () => {
    expect(peerOf("main/d/alice~bob", "alice")).toBe("bob");
    expect(peerOf("main/d/alice~bob", "bob")).toBe("alice");
    expect(peerOf("main/d/bob~bob", "bob")).toBe("bob");
    expect(peerOf("main/g/2w5k", "bob")).toBe("");
  });
});

describe("byActivity", () => {
  const rows = [
    row("main/d/a~b", 10), row("main/g/old", 5), row("main/g/pinned", 1, { pinned: true }),
    row("main/g/put-away", 99, { archived: true }), row("main/u/a", 100), row("main/g/new", 0, {}, 7), row("main/g/newer", 0, {}, 8),
  ];
  it("puts pinned ones first, then the newest message, then the newest change", () => {
    expect(byActivity(rows).map((r) => r.log.split("/")[2])).toEqual(["pinned", "a~b", "old", "newer", "new"]);
  });
  it("keeps archived ones apart, and a user's own log out of both", () => {
    expect(byActivity(rows, true).map((r) => r.log)).toEqual(["main/g/put-away"]);
    expect(isChat("main/u/a")).toBe(false);
  });
});
