import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { framesOf, jsonCodec } from "../src/codec.js";
import { BadFrame } from "../src/errors.gen.js";
import { LIVE_SCHEMA, SCHEMA } from "../src/frames.gen.js";
import type { ClientFrame } from "../src/frames.gen.js";
import { headsDigest } from "../src/heads.js";
import { msgpackCodec } from "../src/msgpack.js";

Object.assign(SCHEMA, LIVE_SCHEMA); // as who needs live logs does
const GOLDEN = new URL("../../../tests/conformance/golden/", import.meta.url);
const load = <T>(name: string) => JSON.parse(readFileSync(new URL(name, GOLDEN), "utf8")) as T[];
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));

interface Case {
  name: string;
  from: "client" | "server";
  value?: ClientFrame;
  values?: ClientFrame[];
  json: string;
  msgpack: string;
}

const cases = [...load<Case>("frames.json"), ...load<Case>("messages.json")];
const valuesOf = (golden: Case) => golden.values ?? [golden.value!];

describe("golden frames: G2", () => {
  for (const golden of cases.filter(({ from }) => from === "server")) {
    it(`decodes ${golden.name}`, () => {
      const values = framesOf(valuesOf(golden)); // with defaults, as the SDK holds them
      expect(values).toHaveLength(valuesOf(golden).filter(({ t }) => SCHEMA[t]).length);
      expect(jsonCodec.decode(golden.json)).toEqual(values);
      expect(msgpackCodec.decode(bytes(golden.msgpack))).toEqual(values);
      for (const [i, value] of valuesOf(golden).entries()) expect(values[i]).toMatchObject(value);
    });
  }

  for (const golden of cases.filter(({ from }) => from === "client")) {
    it(`encodes ${golden.name}`, async () => {
      const { decode } = await import("@msgpack/msgpack");
      const values = valuesOf(golden);
      const message = golden.values ?? golden.value;
      const one = values.length === 1;
      expect(JSON.parse(jsonCodec.encode(values) as string)).toEqual(one ? values[0] : message);
      expect(decode(msgpackCodec.encode(values) as Uint8Array)).toEqual(one ? values[0] : message);
      expect(JSON.parse(golden.json)).toEqual(message);
    });
  }

  for (const { heads, digest } of load<{ heads: [string, number][]; digest: number }>("digests.json")) {
    it(`adds up ${heads.length} heads to ${digest}`, () => expect(headsDigest(heads)).toBe(digest));
  }

  it("refuses what is no frame", () => {
    const entry = { seq: 1, type: "m", from: "a", at: 1, ord: 1, body: {} };
    const bad = [
      "",
      "7",
      '{"x":1}',
      '{"t":"ack"}',
      '{"t":"ack","ref":"1"}',
      '{"t":"ack","ref":1.5}',
      '{"t":"deliver","log":"l","entries":{}}',
      JSON.stringify({ t: "deliver", log: "l", entries: [entry, { ...entry, seq: null }] }),
      '{"t":"page","ref":1}',
    ];
    for (const text of bad) expect(() => jsonCodec.decode(text), text).toThrow(BadFrame);
    expect(() => jsonCodec.decode(new Uint8Array([0x80]))).toThrow(BadFrame);
    expect(() => msgpackCodec.decode(new Uint8Array([0xc1]))).toThrow(BadFrame);
    expect(() => msgpackCodec.decode("{}")).toThrow(BadFrame);
    expect(jsonCodec.decode('[{"t":"new in 2027"},{"t":"pong","now":1,"inbox":2,"digest":3,"x":1}]')).toEqual([
      { t: "pong", now: 1, inbox: 2, digest: 3 },
    ]);
  });

  it("takes bodies that nest deep", () => {
    let body: unknown = 1;
    for (let level = 0; level < 48; level++) body = level % 2 ? [body] : { a: body };
    const frame = { t: "result", ref: 1, body };
    expect(jsonCodec.decode(JSON.stringify(frame))).toEqual([frame]);
    const packed = msgpackCodec.encode([frame as unknown as ClientFrame]);
    expect(msgpackCodec.decode(packed)).toEqual([frame]);
  });
});
