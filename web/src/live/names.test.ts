import { describe, expect, it } from "vitest";
import { readable } from "./readable.js";

describe("a name from an id", () => {
  it("is the id, as a name is written, where a person chose it", () => {
    const names = ["alice", "li.wei", "bob_martin", "王小鹿", "r2d2"].map((user) => readable(user, "User"));
    expect(names).toEqual(["Alice", "Li Wei", "Bob Martin", "王小鹿", "R2d2"]);
  });

  it("is short where a machine did", () => {
    expect(readable("u-5f3c9a7b2d", "User")).toBe("User 7b2d");
    expect(readable("0192f0c1-7a3e-7c44-9d2b-3f0e8c5a1b77", "用户")).toBe("用户 1b77");
    expect(readable("customer-of-the-shop-17", "User").length).toBeLessThan(12);
    expect(readable("--", "User")).toBe("User");
  });
});
