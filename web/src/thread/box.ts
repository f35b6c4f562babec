/** The shape of a picture on the screen. Pure. */

const WIDEST = 330;
const HIGHEST = 380;
const SMALLEST = 110;
const UNKNOWN = { width: 260, height: 200 };

/** The box of a picture in px: its shape is known before it is loaded, so that nothing jumps. */
export function boxOf(content: { width?: number; height?: number }): { width: number; height: number } {
  const { width = 0, height = 0 } = content;
  if (!width || !height) return UNKNOWN;
  const scale = Math.min(WIDEST / width, HIGHEST / height, 1);
  return {
    width: Math.round(Math.max(SMALLEST, width * scale)),
    height: Math.round(Math.max(SMALLEST * 0.6, height * scale)),
  };
}
