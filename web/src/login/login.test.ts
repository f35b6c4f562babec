import { describe, expect, it } from "vitest";
import { type LoginForm, type Mode, wrongIn } from "./checks.js";

// Every word is its own name: what is tested is which one is said.
const w = new Proxy({}, { get: (_, name) => name }) as Parameters<typeof wrongIn>[2];
const good: LoginForm = {
  user: "new.person", password: "long enough", again: "long enough", name: "", code: "abc", tenant: "main",
};
const wrong = (mode: Mode, change: Partial<LoginForm>) => wrongIn(mode, { ...good, ...change }, w);

describe("a login form", () => {
  it("may be sent as it is", () => {
    for (const mode of ["log-in", "sign-up", "claim"] as const) expect(wrong(mode, {})).toEqual({});
  });

  it("asks an old password for nothing but to be there", () => {
    expect(wrong("log-in", { password: "x" })).toEqual({});
    expect(wrong("log-in", { user: "", password: "" })).toEqual({ user: "needUser", password: "needPassword" });
  });

  it("takes only names that the server takes", () => {
    for (const user of ["a b", "-a", ".a", "é", "a".repeat(65), "a/b"]) {
      expect(wrong("log-in", { user })).toEqual({ user: "badUser" });
    }
    expect(wrong("log-in", { user: "_a.b@c+d-9" })).toEqual({});
  });

  it("wants a new password that is long, typed twice, and not the name", () => {
    expect(wrong("sign-up", { password: "short", again: "short" })).toEqual({ password: "shortPassword" });
    expect(wrong("sign-up", { password: "🙂".repeat(7), again: "" })).toEqual({ password: "shortPassword" });
    expect(wrong("sign-up", { user: "LongName", password: "longname" })).toEqual({ password: "samePassword" });
    expect(wrong("sign-up", { again: "long enougH" })).toEqual({ again: "differ" });
  });

  it("wants the code of a claim", () => {
    expect(wrong("claim", { code: " " })).toEqual({ code: "needCode" });
  });
});
