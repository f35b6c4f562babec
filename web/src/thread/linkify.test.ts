import { describe, expect, it } from "vitest";
import { isBigEmoji, linkify, safeHref } from "./linkify.js";

const links = (text: string) => linkify(text).filter((p) => p.href).map((p) => p.text);

describe("linkify", () => {
  it("gives the text back when it is joined", () => {
    const text = "see https://a.example/x?y=1#z, (www.b.example) and 中文https://c.example。完";
    expect(linkify(text).map((p) => p.text).join("")).toBe(text);
    expect(links(text)).toEqual(["https://a.example/x?y=1#z", "www.b.example", "https://c.example"]);
  });
  it("keeps a bracket that belongs to the address", () => {
    expect(links("(https://en.example/wiki/A_(b))")).toEqual(["https://en.example/wiki/A_(b)"]);
  });
  it("never links what could run", () => {
    for (const bad of ["javascript:alert(1)", "data:text/html,x", "http://", "https://nodots", "ftp://a.example/x", "intent://a.example/x"]) {
      expect(links(bad)).toEqual([]);
      expect(safeHref(bad)).toBe("");
    }
    expect(linkify('https://a.example/"onmouseover="x')[0]!.href).toBe("https://a.example/");
  });
  it("makes an address of www", () => {
    expect(linkify("www.a.example")[0]!.href).toBe("https://www.a.example/");
  });
});

describe("isBigEmoji", () => {
  it("is for one to three emoji alone", () => {
    for (const yes of ["👍", "😂👍", " ❤️ ", "👨‍👩‍👧", "🇸🇪"]) expect(isBigEmoji(yes)).toBe(true);
    for (const no of ["", "1", "ok 👍", "👍👍👍👍", "#", "。"]) expect(isBigEmoji(no)).toBe(false);
  });
});
