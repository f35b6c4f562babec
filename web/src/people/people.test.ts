import { describe, expect, it } from "vitest";
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
