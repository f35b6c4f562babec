/** Icons of the console on a 24 grid, one stroke width, in the colour of the text. */

const paths = {
  gauge: "M4.5 18a9 9 0 1 1 15 0M12 14l4-5M12 14v.01",
  people:
    "M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20a6.5 6.5 0 0 1 13 0M16 4.800a3.5 3.5 0 0 1 0 6.400M18 14.300a6.5 6.5 0 0 1 3.5 5.7",
  list: "M8.5 6H20M8.5 12H20M8.5 18H20M4 6v.01M4 12v.01M4 18v.01",
  webhook:
    "M9 8.500a3.5 3.5 0 1 1 5.2 3M14.2 11.500L17 16M7 16h8.500M11.2 10.800L8.5 15.500M7 19.500a3.5 3.5 0 1 1 0-7M17 19.500a3.5 3.5 0 1 0 0-7",
  gate: "M12 3l7.5 3v5.500c0 4.5-3 7.8-7.5 9.5-4.5-1.7-7.5-5-7.5-9.500V6zM8.5 12l2.5 2.5 4.5-5",
  key: "M8 16.500a4.5 4.5 0 1 1 4.3-3.200L21 13.500M17 13.500v3.500M20.5 13.500v2.500M8 12v.01",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  sliders: "M4 7h9M17 7h3M15 5v4M4 12h3M11 12h9M9 10v4M4 17h11M19 17h1M17 15v4",
  book: "M6 3.500h12v17H6zM9.5 8h5M9.5 12h5M9.5 16h3",
  plug: "M9 3.500v5M15 3.500v5M6.5 8.500h11V12a5.5 5.5 0 0 1-11 0zM12 17.500v3",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.5 2",
  stack: "M4 8l8-4 8 4-8 4zM4 12l8 4 8-4M4 16l8 4 8-4",
  warn: "M12 4L2.5 20h19zM12 10v5M12 17.500v.01",
  menu: "M4 6.500h16M4 12h16M4 17.500h16",
} as const;

export type GlyphName = keyof typeof paths;

/** Hidden from screen readers: whoever uses it gives the words. */
export function Glyph({ name, size = 20 }: { name: GlyphName; size?: number }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width={1.9}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={paths[name]} />
    </svg>
  );
}
