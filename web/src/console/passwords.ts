/** Passwords that are read out or typed once: no letters that look alike. */

const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
const GROUPS = 4;
const EACH = 5; // 20 letters of 32: 100 bits

/** A new password, in groups: `k7f3m-…`. */
export function newPassword(random: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array = (b) => crypto.getRandomValues(b)): string {
  const bytes = random(new Uint8Array(GROUPS * EACH));
  const text = [...bytes].map((byte) => LETTERS[byte & 31]).join("");
  return text.match(/.{5}/g)!.join("-");
}
