/** Names for who has none. Pure. */

const LONG = 16; // characters from which on an id is taken for one that no person chose

/** A name from an id, for who may not ask for names: `li.wei` is Li Wei, `u-5f3c9a7b2d` User 7b2d. */
export function readable(user: string, word: string): string {
  const parts = user.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const drawn = user.length > LONG || parts.some((part) => part.length >= 8 && /\d/.test(part) && /\p{L}/u.test(part));
  if (drawn || !parts.length) {
    const longest = parts.reduce((one, two) => (two.length > one.length ? two : one), "");
    return `${word} ${longest.slice(-4)}`.trim();
  }
  return parts.map((part) => part[0]!.toUpperCase() + part.slice(1)).join(" ");
}
