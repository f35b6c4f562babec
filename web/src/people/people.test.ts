import type { Entry } from "@hongyan/sdk";
import { describe, expect, it } from "vitest";
import { keptIn, urlsIn } from "./kept.js";
import { invitationIn, invitationLink } from "./invitation.js";

describe("invitations", () => {
  it("come back from their link, whole or from # on", () => {
    const invitation = { log: "main/g/2w5k+a", token: "t-_.~x" };
    const link = invitationLink("https://chat.example", invitation);
    expect(invitationIn(link)).toEqual(invitation);
    expect(invitationIn(` ${link.slice(link.indexOf("#"))} `)).toEqual(invitation);
    expect(invitationIn(invitationLink("https://x", { log: "main/g/a", token: "" }))).toEqual({
      log: "main/g/a",
      token: "",
    });
    expect(invitationIn("main/g/abc")).toEqual({ log: "main/g/abc", token: "" });
  });

  it("are nothing else", () => {
    for (const text of ["", "hello", "https://x/#join=", "https://x/#join=main/d/a~b", "#join=javascript:1", "#join=main/g/a&token=<b>"]) {
      expect(invitationIn(text)).toBeNull();
    }
  });
});

const entry = (seq: number, content: object, more: Partial<Entry> = {}): Entry =>
  ({ seq, type: "message", from: "a", at: seq, target: 0, slot: "", body: { content }, ...more }) as Entry;
const blob = { digest: "d", size: 1, media_type: "image/png" };

describe("what was shared", () => {
  it("is sorted by kind, the newest first", () => {
    const found = keptIn(
      [
        entry(1, { type: "image", blob }),
        entry(2, { type: "file", blob }),
        entry(3, { type: "video", blob }),
        entry(4, { type: "text", text: "see https://a.example/x?y=1, and http://b.example." }),
        entry(5, { type: "text", text: "nothing" }),
      ],
      [],
    );
    expect(found.pictures.map((k) => k.entry.seq)).toEqual([3, 1]);
    expect(found.files.map((k) => k.entry.seq)).toEqual([2]);
    expect(found.links.map((l) => l.url)).toEqual(["https://a.example/x?y=1", "http://b.example"]);
  });

  it("leaves out what was recalled, and shows what an edit made of it", () => {
    const page = [entry(1, { type: "image", blob }), entry(2, { type: "text", text: "https://old.example" })];
    const edit = entry(7, { type: "text", text: "https://new.example" }, { type: "edit", target: 2, slot: "edit" });
    const older = entry(6, { type: "text", text: "https://mid.example" }, { type: "edit", target: 2, slot: "edit" });
    const recall = { ...entry(8, {}), type: "recall", target: 1, slot: "recall", body: {} } as Entry;
    const found = keptIn(page, [edit, older, recall]);
    expect(found.pictures).toEqual([]);
    expect(found.links.map((l) => l.url)).toEqual(["https://new.example"]);
  });

  it("finds addresses without the signs around them", () => {
    expect(urlsIn("（https://a.example/b）。")).toEqual(["https://a.example/b"]);
    expect(urlsIn("javascript:alert(1) ftp://x")).toEqual([]);
  });
});
