import { describe, expect, it } from "vitest";

import { Ladder } from "../src/ladder.js";

const levels = ["websocket", "sse", "poll"] as const;

describe("the ladder: G7", () => {
  it("goes down at the first failure of what never worked, round and round", () => {
    const ladder = new Ladder(levels);
    const seen = [];
    for (let i = 0; i < 5; i++) {
      seen.push(ladder.current);
      ladder.lost(false, false);
    }
    expect(seen).toEqual(["websocket", "sse", "poll", "websocket", "sse"]);
  });

  it("gives what has worked a second chance, and stays after a loss of an open session", () => {
    const ladder = new Ladder(levels);
    ladder.opened(0);
    ladder.lost(true, false);
    expect(ladder.current).toBe("websocket");
    ladder.lost(false, false);
    expect(ladder.current).toBe("websocket");
    ladder.lost(false, false);
    expect(ladder.current).toBe("sse");
  });

  it("leaves at once what opens and then stays silent", () => {
    const ladder = new Ladder(levels);
    ladder.lost(false, false);
    ladder.opened(0);
    ladder.lost(true, true);
    expect(ladder.current).toBe("poll");
  });

  it("tries the best from below, ever rarer, and goes up when it works", () => {
    const ladder = new Ladder(levels);
    expect(ladder.due()).toBeUndefined();
    ladder.lost(false, false);
    ladder.opened(1000);
    const pauses = [];
    let now = 1000;
    for (let i = 0; i < 6; i++) {
      const due = ladder.due()!;
      pauses.push(due - now);
      now = due;
      ladder.trying();
      expect(ladder.due()).toBeUndefined();
      ladder.tried(false, now);
    }
    expect(pauses).toEqual([3_000, 12_000, 48_000, 192_000, 600_000, 600_000]);
    ladder.tried(true, now);
    expect(ladder.current).toBe("websocket");
  });

  it("needs a level", () => expect(() => new Ladder([])).toThrow(TypeError));
});
