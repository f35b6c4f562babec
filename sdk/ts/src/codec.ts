/** Messages to frames and back. Decoding checks what the schema says and fills in defaults. */

import { BadFrame } from "./errors.gen.js";
import { JSON_SUBPROTOCOL, SCHEMA } from "./frames.gen.js";
import type { ClientFrame, ServerFrame } from "./frames.gen.js";

const TYPES: Record<string, string> = { i: "number", n: "number", s: "string", b: "boolean" };

/** A message as it travels. */
export type Data = string | Uint8Array<ArrayBuffer>;

/** `encode` takes 1 to 64 frames. `decode` throws BadFrame; frames of unknown tags are left out. */
export interface Codec {
  readonly subprotocol: string;
  encode(frames: readonly ClientFrame[]): Data;
  decode(data: Data): ServerFrame[];
}

export const jsonCodec: Codec = {
  subprotocol: JSON_SUBPROTOCOL,
  encode: (frames) => JSON.stringify(frames.length === 1 ? frames[0] : frames),
  decode(data) {
    if (typeof data !== "string") throw new BadFrame("binary where text was agreed on");
    try {
      return framesOf(JSON.parse(data));
    } catch (error) {
      throw error instanceof BadFrame ? error : new BadFrame(String(error));
    }
  },
};

/** The frames of a decoded message. */
export function framesOf(message: unknown): ServerFrame[] {
  const frames: ServerFrame[] = [];
  for (const value of Array.isArray(message) ? message : [message]) {
    const tag = isObject(value) ? value["t"] : undefined;
    if (typeof tag !== "string") throw new BadFrame("a frame without a tag");
    if (SCHEMA[tag]) frames.push({ t: tag, ...fill(tag, value) } as unknown as ServerFrame);
  }
  return frames;
}

type Field = [key: string, kind: string, otherwise: unknown];
const fields: Record<string, Field[]> = {};

function fieldsOf(name: string): Field[] {
  return SCHEMA[name]!.split(" ").map((text) => {
    const [, key, kind, otherwise] = /^(.+?):(.+?)(?:=(.+))?$/.exec(text)!;
    return [key!, kind!, otherwise && JSON.parse(otherwise)];
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A struct with every known field; unknown ones are left out. */
function fill(name: string, value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw new BadFrame(`${name}: no object`);
  const filled: Record<string, unknown> = {};
  for (const [key, kind, otherwise] of (fields[name] ??= fieldsOf(name))) {
    const given = value[key];
    if (given === undefined && otherwise === undefined) throw new BadFrame(`${name}: no ${key}`);
    filled[key] = given === undefined ? otherwise : take(kind, given, `${name}.${key}`);
  }
  return filled;
}

function take(kind: string, value: unknown, where: string): unknown {
  if (kind.endsWith("?")) return value === null ? null : take(kind.slice(0, -1), value, where);
  if (kind.endsWith("[]")) {
    if (!Array.isArray(value)) throw new BadFrame(`${where}: no array`);
    return value.map((item) => take(kind.slice(0, -2), item, where));
  }
  if (kind === "*") return value;
  const type = TYPES[kind];
  if (!type) return fill(kind, value);
  if (typeof value !== type || (kind === "i" && !Number.isSafeInteger(value))) {
    throw new BadFrame(`${where}: no ${type}`);
  }
  return value;
}
