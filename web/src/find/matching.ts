/** Finding words in texts: folded (case, accents, width), so that it agrees with the server. */

/** A piece of a text; `hit` where it was looked for. */
export interface Piece {
  text: string;
  hit: boolean;
}

/** Small letters, no accents, narrow forms. */
export function folded(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** The words of what somebody looks for, folded, without repeats. */
export function wordsOf(query: string): string[] {
  return [...new Set(folded(query).split(/[\s\p{P}]+/u).filter(Boolean))];
}

/** The folded text, and for each of its units the index in the original. */
function mapped(text: string): { fold: string; at: number[] } {
  let fold = "";
  const at: number[] = [];
  let index = 0;
  for (const letter of text) {
    const small = folded(letter);
    for (let i = 0; i < small.length; i++) at.push(index);
    fold += small;
    index += letter.length;
  }
  at.push(text.length);
  return { fold, at };
}

/** Ranges [from, to) of `text` where one of `words` stands, joined where they touch. */
export function hitsIn(text: string, words: readonly string[]): [number, number][] {
  const { fold, at } = mapped(text);
  const found: [number, number][] = [];
  for (const word of words) {
    if (!word) continue;
    for (let i = fold.indexOf(word); i >= 0; i = fold.indexOf(word, i + word.length)) {
      const end = i + word.length;
      let to = at[end] ?? text.length;
      const last = at[end - 1] ?? 0;
      if (to === last) to = last + (text.codePointAt(last)! > 0xffff ? 2 : 1); // half a letter
      found.push([at[i] ?? 0, to]);
    }
  }
  found.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const joined: [number, number][] = [];
  for (const range of found) {
    const last = joined[joined.length - 1];
    if (last && range[0] <= last[1]) last[1] = Math.max(last[1], range[1]);
    else joined.push([range[0], range[1]]);
  }
  return joined;
}

/** `text` in pieces, hits apart; put together they are `text` again. */
export function pieces(text: string, query: string): Piece[] {
  const out: Piece[] = [];
  let index = 0;
  for (const [from, to] of hitsIn(text, wordsOf(query))) {
    if (from > index) out.push({ text: text.slice(index, from), hit: false });
    out.push({ text: text.slice(from, to), hit: true });
    index = to;
  }
  if (index < text.length) out.push({ text: text.slice(index), hit: false });
  return out;
}

/** About `room` letters around the first hit, white space made one line, cut with "…". */
export function excerpt(text: string, query: string, room = 120): Piece[] {
  const line = text.replace(/\s+/gu, " ").trim();
  const first = hitsIn(line, wordsOf(query))[0]?.[0] ?? 0;
  const from = first < room / 2 ? 0 : first - Math.floor(room / 4);
  const letters = [...line.slice(from)];
  const cut = letters.length > room ? letters.slice(0, room).join("") + "…" : letters.join("");
  return pieces((from > 0 ? "…" : "") + cut.replace(/^[\udc00-\udfff]/, ""), query);
}

/** How well `text` answers `query`: 0 not at all; a beginning before a word before a middle. */
export function rank(text: string, query: string): number {
  const what = folded(query).trim();
  if (!what) return 1;
  const where = folded(text);
  const at = where.indexOf(what);
  if (at === 0) return where.length === what.length ? 5 : 4;
  if (at > 0) return /[\s\p{P}]/u.test(where[at - 1] ?? "") ? 3 : 2;
  let i = 0;
  for (const letter of where) if (letter === what[i]) i++;
  return what.length > 1 && i === what.length ? 1 : 0;
}
