/** The links in a text. Only http and https: nothing that could run. Pure. */

export interface Piece {
  text: string;
  /** An absolute address, "" for plain text. */
  href: string;
}

const LINK = /(?:https?:\/\/|www\.)[^\s<>"'`，。！？；：、）】》”’]+/giu;
const TAIL = /[.,!?;:)\]}]+$/;

/** Brackets and full stops at the end belong to the sentence, but "…/a_(b)" keeps its bracket. */
function trimmed(link: string): string {
  let end = link;
  for (let tail = TAIL.exec(end); tail; tail = TAIL.exec(end)) {
    const last = end.at(-1);
    const opens = end.split("(").length;
    if (last === ")" && opens >= end.split(")").length) break;
    end = end.slice(0, -1);
  }
  return end;
}

/** An absolute address of the web that may be opened, in its normal form; "" for any other. */
export function safeHref(address: string): string {
  try {
    const url = new URL(address);
    const web = url.protocol === "http:" || url.protocol === "https:";
    return web && (url.hostname.includes(".") || url.hostname === "localhost") ? url.href : "";
  } catch {
    return "";
  }
}

/** The text in pieces; joined, they give the text again. */
export function linkify(text: string): Piece[] {
  const pieces: Piece[] = [];
  let done = 0;
  const plain = (to: number) => {
    if (to > done) pieces.push({ text: text.slice(done, to), href: "" });
  };
  for (const match of text.matchAll(LINK)) {
    const word = trimmed(match[0]);
    const href = safeHref(/^https?:/i.test(word) ? word : `https://${word}`);
    if (!href) continue;
    plain(match.index);
    pieces.push({ text: word, href });
    done = match.index + word.length;
  }
  plain(text.length);
  return pieces;
}

/** One to three emoji and nothing else: shown large. */
export function isBigEmoji(text: string): boolean {
  if (text.length > 40) return false;
  const signs = [...new Intl.Segmenter().segment(text.trim())].map((s) => s.segment);
  return (
    signs.length > 0 &&
    signs.length <= 3 &&
    signs.every((s) => /\p{Extended_Pictographic}|\p{Regional_Indicator}/u.test(s) && !/^[\d#*]$/.test(s))
  );
}
