import { describe, expect, it } from "vitest";

import { errorFromTab, errorToTab, refusalOf } from "../src/errors.js";
import * as sdk from "../src/index.js";

describe("typed errors: G8", () => {
  it("have a class per code, under their family", () => {
    const kicked = refusalOf(206, "elsewhere", 5);
    expect(kicked).toBeInstanceOf(sdk.Kicked);
    expect(kicked).toBeInstanceOf(sdk.Denied);
    expect(kicked).toMatchObject({ name: "Kicked", code: 206, retry: false, text: "elsewhere" });
    expect(refusalOf(303, "", 70)).toMatchObject({ name: "TooFast", retry: true, retryAfterMs: 70 });
    expect(refusalOf(110, "")).toBeInstanceOf(sdk.Clash);
  });

  it("become their family where the code is not known", () => {
    const later = refusalOf(399, "new");
    expect(later).toBeInstanceOf(sdk.Transient);
    expect(later).toMatchObject({ code: 399, retry: true });
    expect(refusalOf(299, "")).toBeInstanceOf(sdk.Denied);
    expect(refusalOf(199, "")).toBeInstanceOf(sdk.BadRequest);
    expect(refusalOf(100, "").constructor).toBe(sdk.Refusal);
    expect(refusalOf(900, "").constructor).toBe(sdk.Refusal);
  });

  it("survive the way between tabs", () => {
    const all = [
      refusalOf(202, "no member"),
      refusalOf(399, "new", 9),
      new sdk.Offline("x"),
      new sdk.Stopped("x"),
      new sdk.WrongUser("x"),
      new sdk.LoggedOut("x"),
    ];
    for (const error of all) {
      const other = errorFromTab(structuredClone(errorToTab(error)));
      expect(other.constructor).toBe(error.constructor);
      expect(other).toMatchObject({ name: error.name, message: error.message });
    }
  });
});
