import { describe, expect, it } from "vitest";
import { askedAt, complete, fitting, mentionedIn, spansOf } from "./mentions.js";

const people = [
  { user: "bob", name: "Bob" },
  { user: "bobby", name: "Bobby Tables" },
  { user: "chen", name: "陈可欣" },
];

describe("askedAt", () => {
  it("finds the mention at the caret", () => {
    expect(askedAt("hi @bo", 6)).toEqual({ from: 3, query: "bo" });
    expect(askedAt("@", 1)).toEqual({ from: 0, query: "" });
    expect(askedAt("你好@陈", 4)).toEqual({ from: 2, query: "陈" });
  });
  it("is silent in e-mail addresses, after a space, and before the @", () => {
    expect(askedAt("me@home", 7)).toBeNull();
    expect(askedAt("@bob hello", 10)).toBeNull();
    expect(askedAt("hi @bo", 2)).toBeNull();
    expect(askedAt("", 0)).toBeNull();
  });
});

describe("fitting", () => {
  it("puts names that begin with the query first", () => {
    expect(fitting("b", people).map((p) => p.user)).toEqual(["bob", "bobby"]);
    expect(fitting("tab", people).map((p) => p.user)).toEqual(["bobby"]);
    expect(fitting("", people, 2)).toHaveLength(2);
    expect(fitting("xyz", people)).toEqual([]);
  });
});

describe("complete", () => {
  it("replaces the query and leaves one space", () => {
    expect(complete("hi @bo there", { from: 3, query: "bo" }, "Bob")).toEqual({
      text: "hi @Bob there",
      caret: 8,
    });
  });
});

describe("spansOf and mentionedIn", () => {
  it("prefers the longest name and does not cut a word", () => {
    const text = "@Bobby Tables and @Bob, but not @Bobo";
    expect(spansOf(text, people).map((s) => text.slice(s.from, s.to))).toEqual(["@Bobby Tables", "@Bob"]);
  });
  it("takes the whole name where another one is its beginning", () => {
    const text = "@Bob Lee!";
    const both = [{ user: "bob", name: "Bob" }, { user: "lee", name: "Bob Lee" }];
    expect(mentionedIn(text, both).mentions).toEqual(["lee"]);
    expect(mentionedIn("@Bob Leeds", both).mentions).toEqual(["bob"]);
  });
  it("needs no space after a Chinese name", () => {
    expect(mentionedIn("@陈可欣你好", people)).toEqual({ mentions: ["chen"], all: false });
  });
  it("tells users once each, and everybody apart", () => {
    const everyone = { user: "", name: "all" };
    expect(mentionedIn("@Bob @Bob @all", [...people, everyone])).toEqual({ mentions: ["bob"], all: true });
    expect(mentionedIn("nobody", people)).toEqual({ mentions: [], all: false });
  });
});
