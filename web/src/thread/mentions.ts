/** "@name" in a text: completing it while writing, finding it when sending and showing. Pure. */

/** Somebody who can be mentioned; `user` "" stands for everybody. */
export interface Mentionable {
  user: string;
  name: string;
}

export interface Asked {
  /** Where the "@" is. */
  from: number;
  /** What was typed after it. */
  query: string;
}

const LONGEST = 32; // characters after "@" that are still taken for a name

/** The mention that is being written at the caret; null when there is none. */
export function askedAt(text: string, caret: number): Asked | null {
  const from = text.lastIndexOf("@", caret - 1);
  if (from < 0 || caret - from - 1 > LONGEST) return null;
  const before = from === 0 ? " " : (text[from - 1] ?? " ");
  if (/[A-Za-z0-9._%+-]/.test(before)) return null; // an e-mail address
  const query = text.slice(from + 1, caret);
  return /[\s@]/.test(query) ? null : { from, query };
}

/** Those who fit, names that begin with the query first; at most `most`. */
export function fitting(query: string, all: readonly Mentionable[], most = 8): Mentionable[] {
  const q = query.toLocaleLowerCase();
  const rank = (m: Mentionable) => {
    const name = m.name.toLocaleLowerCase();
    const user = m.user.toLocaleLowerCase();
    if (name.startsWith(q)) return 0;
    if (user.startsWith(q)) return 1;
    return name.includes(q) || user.includes(q) ? 2 : 3;
  };
  return all
    .map((m, n) => ({ m, n, rank: rank(m) }))
    .filter((r) => r.rank < 3)
    .sort((a, b) => a.rank - b.rank || a.n - b.n)
    .slice(0, most)
    .map((r) => r.m);
}

/** Put a chosen name where the "@" is; the caret comes behind it. */
export function complete(text: string, asked: Asked, name: string): { text: string; caret: number } {
  const head = `${text.slice(0, asked.from)}@${name} `;
  const rest = text.slice(asked.from + 1 + asked.query.length).replace(/^ /, "");
  return { text: head + rest, caret: head.length };
}

export interface Span {
  from: number;
  to: number;
  user: string;
}

/** Where the names of `people` stand in the text with an "@"; the longest name wins. */
export function spansOf(text: string, people: readonly Mentionable[]): Span[] {
  const sorted = people.filter((p) => p.name).sort((a, b) => b.name.length - a.name.length);
  const spans: Span[] = [];
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", at + 1)) {
    const hit = sorted.find(
      (p) =>
        text.startsWith(p.name, at + 1) &&
        !/[\p{Script=Latin}\d_]/u.test(
          /[\p{Script=Latin}\d_]$/u.test(p.name) ? (text[at + 1 + p.name.length] ?? "") : "",
        ),
    );
    if (hit) spans.push({ from: at, to: at + 1 + hit.name.length, user: hit.user });
  }
  return spans;
}

/** Who is mentioned by a text: users once each, and whether everybody is. */
export function mentionedIn(
  text: string,
  picked: readonly Mentionable[],
): { mentions: string[]; all: boolean } {
  const users = new Set(spansOf(text, picked).map((s) => s.user));
  const all = users.delete("");
  return { mentions: [...users].slice(0, 100), all };
}
