import { describe, expect, it } from "vitest";
import { type Banner, merged, shown, STAYS } from "./gifts.js";
import { Lanes, Rows } from "./lanes.js";
import { answers, appended, deletedBy, KEPT, type Line, lineOf, lineOfEntry, type Said } from "./lines.js";
import { leftToSay } from "./pace.js";

const CROSS = 8_000;
const STAGE = 900;

/** [left, right] of a message at a moment. */
function place(at: number, width: number, now: number): [number, number] {
  const left = STAGE - ((now - at) * (STAGE + width)) / CROSS;
  return [left, left + width];
}

describe("lanes", () => {
  it("never let two messages of a lane touch", () => {
    const lanes = new Lanes(CROSS);
    const taken: { lane: number; at: number; width: number }[] = [];
    let seed = 7;
    const roll = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
    let placed = 0;
    for (let at = 0; at < 60_000; at += 5) {
      const width = 30 + roll() * 700;
      const lane = lanes.take(6, STAGE, width, at);
      if (lane < 0) continue;
      placed += 1;
      taken.push({ lane, at, width });
    }
    expect(placed).toBeGreaterThan(60);
    for (let lane = 0; lane < 6; lane += 1) {
      const mine = taken.filter((t) => t.lane === lane);
      for (const [i, next] of mine.entries()) {
        const before = mine[i - 1];
        if (!before) continue;
        for (let now = next.at; now <= before.at + CROSS; now += 50) {
          expect(place(next.at, next.width, now)[0]).toBeGreaterThanOrEqual(place(before.at, before.width, now)[1]);
        }
      }
    }
  });

  it("give an empty stage from the top, and say when it is full", () => {
    const lanes = new Lanes(CROSS);
    expect([0, 1, 2].map(() => lanes.take(2, STAGE, 100, 0))).toEqual([0, 1, -1]);
    expect(lanes.take(2, STAGE, 100, CROSS)).toBe(0);
  });

  it("keep what stands still for its time", () => {
    const rows = new Rows();
    expect([rows.take(2, 0, 4000), rows.take(2, 10, 4000), rows.take(2, 20, 4000)]).toEqual([0, 1, -1]);
    expect(rows.take(2, 4000, 4000)).toBe(0);
  });
});

describe("gift banners", () => {
  const rose = (order: string, count = 1, combo = "c") => ({ order, gift: "rose", count, value: count, combo });
  it("add up a combo of one sender and keep it on", () => {
    let all: Banner[] = [];
    all = merged(all, "bob", rose("1"), 0);
    all = merged(all, "bob", rose("2", 3), 1000);
    all = merged(all, "eve", rose("3"), 1000);
    all = merged(all, "bob", { order: "4", gift: "tea", count: 1, value: 5, combo: "c" }, 1000);
    expect(all.map(({ from, gift, count }) => [from, gift, count])).toEqual([
      ["bob", "tea", 1],
      ["bob", "rose", 4],
      ["eve", "rose", 1],
    ]);
    expect(all[1]!.until).toBe(1000 + STAYS);
  });

  it("keep gifts without a combo apart, and forget what is over", () => {
    let all = merged([], "bob", rose("1", 1, ""), 0);
    all = merged(all, "bob", rose("2", 1, ""), 1);
    expect(all).toHaveLength(2);
    expect(merged(all, "eve", rose("3"), STAYS + 2)).toHaveLength(1);
    expect(shown(all, STAYS, 3)).toHaveLength(1);
  });

  it("show the dearest first, and for longer", () => {
    let all: Banner[] = [];
    for (let n = 0; n < 100; n += 1) all = merged(all, "bob", rose(`r${n}`, 1, ""), 0);
    all = merged(all, "eve", { order: "x", gift: "rocket", count: 1, value: 500 }, 0);
    expect(all).toHaveLength(50);
    expect(shown(all, 1, 3)[0]!.from).toBe("eve");
    expect(shown(all, STAYS + 1, 3).map(({ from }) => from)).toEqual(["eve"]);
  });
});

describe("lines", () => {
  const item = (off: number, body: object, type = "danmaku") => ({
    ...{ off, type, from: "bob", at: 1, body: body as never, lane: 1, op: "op", device: "" },
  });
  it("say what items and entries say", () => {
    const line = lineOf(item(3, { text: "hi", color: "#ff0000", by: "eve" }), 0) as Said;
    expect(line).toMatchObject({ id: "i3", from: "eve", text: "hi", position: "scroll", held: false });
    expect(lineOf(item(0, { text: "x", held: true }), 4)).toMatchObject({ id: "oop-4", held: true });
    expect(lineOf(item(5, { off: 3 }, "deleted"), 0)).toBeUndefined();
    expect(deletedBy(item(5, { off: 3 }, "deleted"))).toBe(3);
    const entry = { seq: 9, from: "bob", at: 1, ord: 0, count: false, target: 0, slot: "", op: "", device: "" };
    expect(lineOfEntry({ ...entry, type: "announcement", body: { text: "soon" } })).toMatchObject({ text: "soon" });
    expect(lineOfEntry({ ...entry, type: "changed", body: {} })).toBeUndefined();
    expect(answers({ ...line, held: true }, line)).toBe(true);
  });

  it("add up a combo of gifts in a row", () => {
    const gift = (n: number, combo: string): Line => {
      const given = { order: `o${n}`, gift: "rose", count: 2, value: 2, combo };
      return { kind: "gift", id: `e${n}`, from: "bob", given, at: n };
    };
    const lines = appended([gift(1, "c")], [gift(2, "c"), gift(3, "d"), gift(4, ""), gift(5, "")]);
    expect(lines.map((line) => line.kind === "gift" && line.given.count)).toEqual([4, 2, 2, 2]);
  });

  it("keep the newest, and one line for all who came in a row", () => {
    const came = (n: number): Line => ({ kind: "came", id: `i${n}`, from: `u${n}`, at: n });
    const lines = appended([], Array.from({ length: 300 }, (_, n) => lineOf(item(n + 1, { text: "x" }), n)!));
    expect(lines).toHaveLength(KEPT);
    expect(lines.at(-1)!.id).toBe("i300");
    expect(appended([came(1)], [came(2), came(3)]).map(({ id }) => id)).toEqual(["i3"]);
  });
});

describe("slow mode", () => {
  it("counts down from what was said, and from what the server refused", () => {
    expect(leftToSay({ slowS: 5, saidAt: 1000, blockedUntil: 0 }, 2500)).toBe(4);
    expect(leftToSay({ slowS: 5, saidAt: 1000, blockedUntil: 0 }, 6000)).toBe(0);
    expect(leftToSay({ slowS: 0, saidAt: 1000, blockedUntil: 9100 }, 9000)).toBe(1);
    expect(leftToSay({ slowS: 5, saidAt: 0, blockedUntil: 0 }, 10)).toBe(0);
  });
});
