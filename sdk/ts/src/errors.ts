/** Codes of the wire to classes. */

import { REFUSALS } from "./errors.gen.js";
import { BadRequest, Denied, Refusal, Transient } from "./refusal.js";

const BY_CODE = new Map<number, typeof Refusal>(REFUSALS.map((kind) => [kind.code, kind]));
const FAMILIES: (typeof Refusal | undefined)[] = [undefined, BadRequest, Denied, Transient];

/** The refusal of a code; one that is not known becomes its family, with the code kept. */
export function refusalOf(code: number, text: string, retryAfterMs = 0): Refusal {
  const family = code === Refusal.code ? undefined : FAMILIES[Math.floor(code / 100)];
  const Kind = BY_CODE.get(code) ?? family ?? Refusal;
  return new Kind(text, { code, retryAfterMs });
}
