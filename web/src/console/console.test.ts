import { describe, expect, test, vi } from "vitest";
import type { Kept } from "./series.js";

// The language is read from the browser when its module is loaded.
vi.hoisted(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  });
  vi.stubGlobal("navigator", { languages: ["en"] });
  vi.stubGlobal("document", { documentElement: { lang: "", dataset: {} } });
});

const of = (at: number[], v: (number | null)[]): Kept => ({ at, series: { v } });

describe("series", async () => {
  const { append, lastKnown, newest, newestKnown, NOTHING, recent, sparkline } = await import("./series.js");

  test("an answer is laid behind what is kept, nothing twice", () => {
    const first = append(NOTHING, of([10, 20], [1, 2]), 9);
    const second = append(first, of([20, 30], [9, 3]), 9);
    expect(second).toEqual(of([10, 20, 30], [1, 2, 3]));
    expect(append(second, of([], []), 9)).toBe(second);
    expect(append(second, of([30], [7]), 9)).toBe(second);
  });

  test("the newest stay", () => {
    expect(append(of([1, 2], [1, 2]), of([3, 4], [3, 4]), 3)).toEqual(of([2, 3, 4], [2, 3, 4]));
  });

  test("a series that is new has holes where it was not known", () => {
    const next = { at: [3], series: { v: [3], w: [9] } };
    expect(append(of([1, 2], [1, 2]), next, 9).series).toEqual({ v: [1, 2, 3], w: [null, null, 9] });
  });

  test("a pause of the node is a hole, not a line", () => {
    const view = recent(of([1000, 3000, 20_000], [1, 2, 3]), 60_000, 2000);
    expect(view).toEqual(of([1000, 3000, 5000, 20_000], [1, 2, null, 3]));
  });

  test("only the last of it is shown", () => {
    expect(recent(of([1000, 3000, 5000], [1, 2, 3]), 2001, 2000)).toEqual(of([3000, 5000], [2, 3]));
    expect(recent(NOTHING, 1000, 2000)).toEqual(NOTHING);
  });

  test("now is the last value; a quantile is the last one there was", () => {
    const kept = of([1, 2], [4, null]);
    expect(newest(kept, "v")).toBeNull();
    expect(newestKnown(kept, "v")).toBe(4);
    expect(newest(kept, "other")).toBeNull();
    expect(lastKnown([null, null])).toBeNull();
  });

  test("a small line stays in its box", () => {
    expect(sparkline([0, 10, null, 5], 30, 22)).toBe("0.0,21.0 10.0,1.0 30.0,11.0");
    expect(sparkline([1], 30, 22)).toBe("");
    expect(sparkline([0, 0], 10, 10)).toBe("0.0,9.0 10.0,9.0");
  });
});

describe("places", async () => {
  const { parsePlace, placeOf } = await import("./router.js");

  test.each([
    ["logs", "main/d/alice~bob", {}],
    ["people", "a.b+c@d", { q: "x y" }],
    ["overview", "", {}],
    ["webhooks", "wh_1?#%", {}],
  ] as const)("%s %s leads back to itself", (page, id, query) => {
    expect(parsePlace(placeOf(page, id, query))).toEqual({ page, id, query });
  });

  test.each(["", "#", "#/nowhere", "#/people/%E0%A4%A"])("%s leads to the overview", (hash) => {
    expect(parsePlace(hash)).toEqual({ page: "overview", id: "", query: {} });
  });

  test("empty parts of a query are left out", () => {
    expect(placeOf("people", "", { q: "" })).toBe("#/people");
  });
});

describe("numbers", async () => {
  const { bytes, count, millis, percent, rate, span } = await import("./format.js");

  test.each([
    [0, "0"],
    [0.254, "0.25"],
    [12.34, "12.3"],
    [123.4, "123"],
    [9999, "9,999"],
    [12_345, "12.3k"],
    [4_560_000, "4.6M"],
    [null, "–"],
  ])("count %s", (value, text) => expect(count(value)).toBe(text));

  test.each([
    [0, "0 B"],
    [1023, "1,023 B"],
    [1536, "1.5 KiB"],
    [64 * 1024 * 1024, "64 MiB"],
    [300 * 1024, "300 KiB"],
    [null, "–"],
  ])("bytes %s", (value, text) => expect(bytes(value)).toBe(text));

  test.each([
    [0.4213, "0.42 ms"],
    [12.34, "12.3 ms"],
    [450.2, "450 ms"],
    [1234, "1.23 s"],
    [null, "–"],
  ])("millis %s", (value, text) => expect(millis(value)).toBe(text));

  test("others", () => {
    expect(percent(0.058)).toBe("5.8 %");
    expect(percent(1.5)).toBe("150 %");
    expect(rate(3)).toBe("3/s");
  });

  test.each([
    [0, "0 s"],
    [5000, "5 s"],
    [65_000, "1 min 5 s"],
    [3_600_000, "1 h"],
    [90_061_000, "1 d 1 h"],
  ])("span %s", (ms, text) => expect(span(ms)).toBe(text));
});

describe("small things", async () => {
  const { newPassword } = await import("./passwords.js");

  test("a password has 20 letters that do not look alike", () => {
    expect(newPassword()).toMatch(/^([abcdefghijkmnpqrstuvwxyz2-9]{5}-){3}[abcdefghijkmnpqrstuvwxyz2-9]{5}$/);
    expect(newPassword()).not.toBe(newPassword());
    expect(newPassword((bytes) => bytes.map((_, i) => i + 32))).toBe("abcde-fghij-kmnpq-rstuv");
  });
});
