/** Which rows of a list of equal heights are drawn; pure, in CSS pixels. */

/** Rows `from` (inclusive) to `to` (exclusive). */
export interface Window {
  from: number;
  to: number;
}

/** The rows that are seen, and `spare` more on either side, within 0 to `count`. */
export function windowOf(
  top: number,
  height: number,
  rowHeight: number,
  count: number,
  spare = 6,
): Window {
  const first = Math.floor(Math.max(0, top) / rowHeight);
  const seen = Math.ceil(Math.max(0, height) / rowHeight) + 1;
  const from = Math.max(0, Math.min(first - spare, count));
  return { from, to: Math.max(from, Math.min(count, first + seen + spare)) };
}

/** Where to scroll so that row `index` is seen; `top` when it is seen already. */
export function scrolledTo(
  index: number,
  top: number,
  height: number,
  rowHeight: number,
): number {
  const start = index * rowHeight;
  if (start < top) return start;
  if (start + rowHeight > top + height) return start + rowHeight - height;
  return top;
}
