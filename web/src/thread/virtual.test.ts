import { describe, expect, it } from "vitest";
import { Layout } from "./virtual.js";

const keys = (n: number, from = 0) => Array.from({ length: n }, (_, i) => `k${i + from}`);
const heights = new Map(keys(100).map((k, i) => [k, 20 + (i % 7) * 13]));

describe("Layout", () => {
  it("puts items one below the other, estimating what was not measured", () => {
    const layout = new Layout(["a", "b", "c"], new Map([["b", 50]]), () => 10);
    expect([...layout.tops]).toEqual([0, 10, 60, 70]);
    expect(layout.total).toBe(70);
  });

  it("finds the item at every height", () => {
    const layout = new Layout(keys(100), heights, () => 1);
    for (let y = 0; y < layout.total; y += 3) {
      const n = layout.at(y);
      expect(layout.tops[n]).toBeLessThanOrEqual(y);
      expect(layout.tops[n + 1]).toBeGreaterThan(y);
    }
    expect(layout.at(-50)).toBe(0);
    expect(layout.at(1e9)).toBe(99);
  });

  it("draws every item that touches the view", () => {
    const layout = new Layout(keys(100), heights, () => 1);
    const [from, to] = layout.range(500, 300, 0);
    expect(layout.tops[from]).toBeLessThanOrEqual(500);
    expect(layout.tops[to]).toBeGreaterThanOrEqual(800);
    expect(new Layout([], heights, () => 1).range(0, 300, 100)).toEqual([0, 0]);
  });

  it("keeps an anchor still while items come before it and heights change", () => {
    const before = new Layout(keys(50, 50), heights, () => 40);
    const anchor = before.anchor(333, 400)!;
    const grown = new Map(heights).set("k60", 500);
    const after = new Layout(keys(100), grown, () => 40);
    const top = after.topFor(anchor)!;
    expect(after.tops[after.indexOf(anchor.key)]! - top).toBe(anchor.below);
    expect(after.topFor({ key: "gone", below: 0 })).toBeNull();
  });

  it("takes as anchor the first item that begins in the view", () => {
    const layout = new Layout(["a", "b", "c"], new Map([["a", 100], ["b", 1000], ["c", 100]]), () => 1);
    expect(layout.anchor(50, 400)).toEqual({ key: "b", below: 50 });
    expect(layout.anchor(200, 400)).toEqual({ key: "b", below: -100 }); // nothing begins here
    expect(new Layout([], new Map(), () => 1).anchor(0, 100)).toBeNull();
  });
});
