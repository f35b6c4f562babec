import type { Page } from "@hongyan/sdk";
import { describe, expect, it } from "vitest";
import { monthSheet, seqAt, weekStart } from "./dates.js";
import { excerpt, hitsIn, pieces, rank, wordsOf } from "./matching.js";

const marked = (text: string, query: string) =>
  pieces(text, query)
    .map((p) => (p.hit ? `[${p.text}]` : p.text))
    .join("");

describe("matching", () => {
  it("marks words whatever their case, accents and width", () => {
    expect(marked("A Café, a cafe and CAFÉ", "cafe")).toBe("A [Café], a [cafe] and [CAFÉ]");
    expect(marked("全角ＡＢＣ", "abc")).toBe("全角[ＡＢＣ]");
    expect(marked("明天下午开会", "下午 开会")).toBe("明天[下午开会]");
  });

  it("never cuts a letter and loses none", () => {
    const text = "👍🏽 ﬁne 👨‍👩‍👧 ok";
    for (const query of ["fi", "i", "ok", "👍", "x", ""]) {
      expect(pieces(text, query).map((p) => p.text).join("")).toBe(text);
    }
    expect(hitsIn("ﬁ", ["i"])).toEqual([[0, 1]]);
  });

  it("shows the place of the first hit", () => {
    const cut = excerpt("word ".repeat(100) + "needle" + " more".repeat(100), "needle", 60);
    expect(cut.some((p) => p.hit && p.text === "needle")).toBe(true);
    expect(cut.map((p) => p.text).join("").length).toBeLessThanOrEqual(62);
    expect(excerpt("a\n\nb", "b").map((p) => p.text).join("")).toBe("a b");
  });

  it("takes a query apart", () => {
    expect(wordsOf("  Hello, hello 世界 ")).toEqual(["hello", "世界"]);
    expect(wordsOf("  ")).toEqual([]);
  });

  it("likes a beginning more than a middle", () => {
    const order = ["ops", "ops room", "dev ops", "devops", "o p s"];
    const ranks = order.map((t) => rank(t, "ops"));
    expect(ranks).toEqual([5, 4, 3, 2, 1]);
    expect(rank("abc", "xyz")).toBe(0);
  });
});

describe("dates", () => {
  it("lays a month out in whole weeks", () => {
    const sheet = monthSheet(2026, 1, 1); // February 2026 begins on a Sunday
    expect(sheet[0]?.map((d) => d.day)).toEqual([26, 27, 28, 29, 30, 31, 1]);
    expect(sheet.every((week) => week.length === 7)).toBe(true);
    expect(sheet.flat().filter((d) => d.inside).length).toBe(28);
    expect(weekStart("zh-CN")).toBe(1);
    expect(weekStart("en")).toBe(0);
  });

  it("finds the first entry of a day by halving", async () => {
    const times = Array.from({ length: 1000 }, (_, i) => Math.floor(i / 3) * 10);
    let reads = 0;
    const client = {
      read: (_log: string, range: { after?: number; before?: number }) => {
        reads++;
        const seq = range.before === 0 ? times.length : (range.after ?? 0) + 1;
        const entries = [{ seq, at: times[seq - 1] }];
        return Promise.resolve({ entries, floor: 1, head: times.length } as unknown as Page);
      },
    };
    expect(await seqAt(client as never, "main/d/a~b", 500)).toBe(151);
    expect(reads).toBeLessThan(13);
    expect(await seqAt(client as never, "main/d/a~b", -5)).toBe(1);
    expect(await seqAt(client as never, "main/d/a~b", 99_999)).toBe(0);
  });
});
