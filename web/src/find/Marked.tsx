import { excerpt, pieces } from "./matching.js";

/** A text with what was looked for marked; with `room` cut to about as many letters around it. */
export function Marked({ text, query, room }: { text: string; query: string; room?: number }) {
  const parts = room ? excerpt(text, query, room) : pieces(text, query);
  return (
    <>
      {parts.map((part, i) => (part.hit ? <mark key={i}>{part.text}</mark> : <span key={i}>{part.text}</span>))}
    </>
  );
}
