/** The MessagePack codec: a module of its own, so that who uses JSON need not load it. */

import { decode, encode } from "@msgpack/msgpack";

import { framesOf } from "./codec.js";
import type { Codec } from "./codec.js";
import { BadFrame } from "./errors.gen.js";
import { MSGPACK_SUBPROTOCOL } from "./frames.gen.js";

export const msgpackCodec: Codec = {
  subprotocol: MSGPACK_SUBPROTOCOL,
  encode: (frames) => encode(frames.length === 1 ? frames[0] : frames, { ignoreUndefined: true }),
  decode(data) {
    if (typeof data === "string") throw new BadFrame("text where binary was agreed on");
    try {
      return framesOf(decode(data));
    } catch (error) {
      throw error instanceof BadFrame ? error : new BadFrame(String(error));
    }
  },
};
