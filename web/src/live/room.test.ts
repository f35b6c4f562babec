import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Counts, laneOf } from "./counts.js";
import { placeOf } from "./hearts.js";
import { appended, type Line } from "./lines.js";
import { endOf, type Kept, type Page, Reel } from "./reel.js";
import { listsAfter } from "./state.js";

describe("what comes in, by lane", () => {
  it("is counted over the last minute, and messages over the last whole second", () => {
    const counts = new Counts();
    counts.add("normal", 5, 1_000);
    counts.add("low", 1, 1_500);
    counts.add("normal", 3, 2_100);
    counts.add("high", 2, 30_000);
    expect(counts.at(3_000)).toEqual({ minute: { high: 2, normal: 8, low: 1 }, second: 3 });
    expect(counts.at(61_000).minute).toEqual({ high: 2, normal: 3, low: 0 }); // the first second is over
    expect(counts.at(200_000)).toEqual({ minute: { high: 0, normal: 0, low: 0 }, second: 0 });
  });

  it("keeps a minute, however long it runs", () => {
    const counts = new Counts();
    for (let second = 0; second < 500; second += 1) counts.add("normal", 10, second * 1000);
    expect([counts.at(499_000).minute.normal, counts.held]).toEqual([600, 60]);
    expect([0, 1, 2, 9].map(laneOf)).toEqual(["high", "normal", "low", "low"]);
  });
});

describe("lists of a room", () => {
  it("follow what moderators do", () => {
    const state = { muted: { bob: 5 }, banned: { eve: 0 } };
    expect(listsAfter(state, "mute", "eve", 9, true)).toEqual({ muted: { bob: 5, eve: 9 } });
    expect(listsAfter(state, "mute", "bob", 0, false)).toEqual({ muted: {} });
    expect(listsAfter(state, "ban", "bob", 0, true)).toEqual({ banned: { eve: 0, bob: 0 } });
    expect(listsAfter(state, "unban", "eve", 0, true)).toEqual({ banned: {} });
    expect(listsAfter({}, "appoint", "bob", 0, true)).toEqual({});
  });
});

describe("a combo", () => {
  const gift = (n: number, combo: string): Line => {
    const given = { order: `o${n}`, gift: "kite", count: 1, value: 10, combo };
    return { kind: "gift", id: `e${n}`, from: "bob", given, at: n };
  };
  const came = (n: number): Line => ({ kind: "notice", id: `n${n}`, from: "eve", text: "x", at: n });

  it("is one line also where others spoke between, and stays where it is", () => {
    const lines = appended([gift(1, "c"), came(2)], [gift(3, "c")]);
    expect(lines.map(({ id }) => id)).toEqual(["e1", "n2"]);
    expect(lines[0]).toMatchObject({ given: { count: 2, value: 20 } });
  });

  it("is another line where it would not be seen growing", () => {
    const between = Array.from({ length: 20 }, (_, n) => came(n));
    expect(appended([gift(1, "c"), ...between], [gift(99, "c")])).toHaveLength(22);
  });
});

describe("a heart", () => {
  it("comes, rises and is gone", () => {
    const sways = [0, 10, -10, 20];
    expect(placeOf(0, sways)).toEqual({ up: 0, size: 0.4, solid: 0, sway: 0 });
    expect(placeOf(1, sways)).toEqual({ up: 220, size: 0.8, solid: 0, sway: 20 });
    const ways = Array.from({ length: 101 }, (_, n) => placeOf(n / 100, sways));
    for (const [n, { up, solid }] of ways.entries()) {
      if (n) expect(up).toBeGreaterThanOrEqual(ways[n - 1]!.up);
      expect(solid).toBeLessThanOrEqual(1);
    }
  });
});

/** An archive with something at these moments. */
function archive(moments: readonly number[], limit = 200) {
  const asked: [number, number][] = [];
  const ask = async (from: number, to: number, after?: unknown): Promise<Page> => {
    asked.push([from, to]);
    const all = moments.map((ms, n): Kept => ({ off: n + 1, from: "bob", at: 1, media_ms: ms, body: { text: `m${ms}` } }));
    const rest = all.filter(({ media_ms, off }) => media_ms >= from && media_ms < to && off > Number(after ?? 0));
    const items = rest.slice(0, limit);
    return { items, more: rest.length > limit, after: items.at(-1)?.off ?? 0 };
  };
  return { ask, asked };
}

describe("a recording", () => {
  const texts = (reel: Reel, ms: number) => reel.due(ms).lines.map(({ text }) => text);

  /** What a clock of 200 ms steps brings. */
  async function played(reel: Reel, from: number, to: number): Promise<string[]> {
    const heard: string[] = [];
    for (let ms = from; ms <= to; ms += 200) {
      heard.push(...texts(reel, ms));
      await reel.ready;
    }
    return heard;
  }

  it("gives each message once, at its moment, over all slices", async () => {
    const moments = [0, 100, 5_000, 59_999, 60_000, 61_000, 130_000];
    const { ask, asked } = archive(moments);
    const reel = new Reel(ask);
    expect(await played(reel, 0, 4_800)).toEqual(["m0", "m100"]);
    expect(await played(reel, 5_000, 140_000)).toEqual(["m5000", "m59999", "m60000", "m61000", "m130000"]);
    expect(asked.slice(0, 3)).toEqual([[0, 60_000], [60_000, 120_000], [120_000, 180_000]]);
  });

  it("reads a full slice in pages", async () => {
    const reel = new Reel(archive([100, 200, 300, 400, 500], 2).ask);
    expect(await played(reel, 0, 600)).toEqual(["m100", "m200", "m300", "m400", "m500"]);
  });

  it("begins anew where the clock was set, and does not tell what lies between", async () => {
    const reel = new Reel(archive([1_000, 50_000, 90_100]).ask);
    await played(reel, 0, 2_000);
    const there = reel.due(90_000);
    expect([there.jumped, there.lines]).toEqual([true, []]);
    await reel.ready;
    expect(await played(reel, 90_200, 91_000)).toEqual(["m90100"]);
    expect(reel.due(500).jumped).toBe(true);
    await reel.ready;
    expect(await played(reel, 700, 1_100)).toEqual(["m1000"]);
  });

  it("does not fly what this page said just now a second time, but does when it is seen again", async () => {
    const reel = new Reel(archive([70_000]).ask);
    reel.due(69_000);
    reel.saidNow("m70000", 70_000);
    await reel.ready;
    expect(await played(reel, 69_200, 71_000)).toEqual([]);
    reel.due(68_000);
    await reel.ready;
    expect(await played(reel, 68_200, 71_000)).toEqual(["m70000"]);
  });

  it("drops the answer to a question from before the clock was set", async () => {
    const waiting: ((page: Page) => void)[] = [];
    const reel = new Reel(() => new Promise((resolve) => waiting.push(resolve)));
    const page = (ms: number): Page => {
      return { items: [{ off: 1, from: "bob", at: 1, media_ms: ms, body: { text: `m${ms}` } }], more: false, after: 0 };
    };
    reel.due(0);
    reel.due(300_000);
    expect(waiting).toHaveLength(2);
    waiting[1]!(page(300_100));
    await reel.ready;
    waiting[0]!(page(100));
    await new Promise((resolve) => setTimeout(resolve));
    expect(texts(reel, 300_200)).toEqual(["m300100"]);
  });

  it("ends where the last message is, whatever lies between", async () => {
    for (const moments of [[0], [75_000], [1_000, 2_000, 3_600_000, 3_700_000], [5, 7_200_000]]) {
      const { ask } = archive(moments);
      const end = await endOf(async (from) => (await ask(from, Infinity)).items[0]?.media_ms);
      const last = moments.at(-1)!;
      expect(end).toBeLessThanOrEqual(last);
      expect(last - end).toBeLessThan(10_000);
    }
    expect(await endOf(async () => undefined)).toBe(0);
  });
});

describe("layers", () => {
  let steps: string[];
  beforeEach(() => {
    steps = [];
    vi.useFakeTimers();
    vi.stubGlobal("history", { pushState() {}, back() {} });
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  async function made() {
    const { Layers } = await import("./layers.js");
    return new Layers({ pushState: () => void steps.push("push"), back: () => void steps.push("back") });
  }

  it("give one step to the history, and back closes the newest", async () => {
    const layers = await made();
    const closed: string[] = [];
    layers.add(() => closed.push("panel"));
    layers.add(() => closed.push("window"));
    expect(steps).toEqual(["push"]);
    layers.popped();
    expect([closed, steps]).toEqual([["window"], ["push", "push"]]); // the panel is still there
    layers.popped();
    vi.runAllTimers();
    expect([closed, steps, layers.count]).toEqual([["window", "panel"], ["push", "push"], 0]);
  });

  it("take the step back where a panel was closed otherwise", async () => {
    const layers = await made();
    const gone = layers.add(() => {});
    gone();
    gone();
    vi.runAllTimers();
    expect(steps).toEqual(["push", "back"]);
    layers.popped(); // our own
    expect(steps).toEqual(["push", "back"]);
    expect(layers.closeTop()).toBe(false);
  });

  it("keep the step for a window that a menu opens, and for what opens while it is taken back", async () => {
    const layers = await made();
    const menu = layers.add(() => {});
    menu();
    const window = layers.add(() => {});
    vi.runAllTimers();
    expect(steps).toEqual(["push"]);
    window();
    vi.runAllTimers();
    layers.add(() => {});
    expect(steps).toEqual(["push", "back"]); // not before the step is gone
    layers.popped();
    expect(steps).toEqual(["push", "back", "push"]);
  });
});
