/** A line chart over time. All charts of a page show the same moment under the pointer. */

import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { lang, themeChoice } from "../ui/index.js";
import { clock } from "./format.js";
import { lastKnown, type Kept } from "./series.js";

export interface Line {
  /** Of `Kept.series`. */
  name: string;
  label: string;
  /** 0 … 3: which of the palette. */
  color: number;
  /** Filled down to zero. */
  area?: boolean;
}

export interface ChartProps {
  title: string;
  lines: readonly Line[];
  kept: Kept;
  format: (value: number | null) => string;
  /** The axis reaches at least so far, so that noise near zero looks like what it is. */
  least?: number;
  /** The axis goes in powers of two: bytes. */
  binary?: boolean;
  /** Ms that the x axis shows, to the newest sample. */
  window: number;
}

const HEIGHT = 168;
const BINARY = Array.from({ length: 44 }, (_, i) => 2 ** i);
const SYNC = uPlot.sync("console");

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(props: ChartProps, width: number, point: (index: number | null) => void): uPlot.Options {
  const grid = { stroke: color("--chart-grid"), width: 1 };
  const axis = {
    stroke: color("--text-3"),
    font: `11px ${color("--font")}`,
    ticks: { show: false },
    grid,
  };
  return {
    width,
    height: HEIGHT,
    pxAlign: 1,
    legend: { show: false },
    padding: [10, 8, 0, 0],
    cursor: {
      sync: { key: SYNC.key },
      drag: { x: false, y: false },
      y: false,
      points: { size: 7, width: 2 },
    },
    scales: {
      x: { time: true },
      y: { range: (_, __, max) => [0, Math.max(max || 0, props.least ?? 1) * 1.08] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 26,
        gap: 6,
        space: 74,
        incrs: [5, 10, 15, 30, 60, 120, 300],
        values: (_, splits) => splits.map((s) => clock(s * 1000).slice(0, s % 60 ? 8 : 5)),
      },
      {
        ...axis,
        size: (_, values) => 14 + Math.max(18, ...(values ?? []).map((v) => v.length * 6.2)),
        gap: 6,
        space: 34,
        ...(props.binary && { incrs: BINARY }),
        values: (_, splits) => splits.map((s) => props.format(s)),
      },
    ],
    series: [
      {},
      ...props.lines.map((line) => {
        const stroke = color(`--line-${line.color}`);
        return {
          label: line.label,
          stroke,
          width: 1.75,
          points: { show: false },
          spanGaps: false,
          ...(line.area && { fill: `color-mix(in srgb, ${stroke} 14%, transparent)` }),
        };
      }),
    ],
    hooks: { setCursor: [(u) => point(u.cursor.idx ?? null)] },
  };
}

function data(props: ChartProps): uPlot.AlignedData {
  return [
    props.kept.at.map((at) => at / 1000),
    ...props.lines.map((line) => props.kept.series[line.name] ?? []),
  ] as uPlot.AlignedData;
}

/** The chart with its title, and its values now, or at the moment pointed at. */
export function Chart(props: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const tip = useRef<HTMLDivElement>(null);
  const [index, setIndex] = useState<number | null>(null);
  const [over, setOver] = useState(false);
  const id = useId();
  const theme = themeChoice.value;
  const tongue = lang.value;
  const dark = useDark();
  useEffect(() => {
    const at = box.current;
    if (!at) return;
    const made = new uPlot(options(props, at.clientWidth, setIndex), data(props), at);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: at.clientWidth, height: HEIGHT }));
    watch.observe(at);
    return () => {
      watch.disconnect();
      made.destroy();
    };
  }, [theme, tongue, dark]);
  useLayoutEffect(() => {
    const made = plot.current;
    const note = tip.current;
    const at = box.current;
    if (!made || !note || !at) return;
    const x = at.offsetLeft + made.over.offsetLeft + (made.cursor.left ?? 0);
    const room = (note.parentElement?.clientWidth ?? 0) - note.offsetWidth - 8;
    note.style.left = `${Math.max(8, Math.min(x + 14, x + 14 > room ? x - note.offsetWidth - 14 : room))}px`;
    note.style.top = `${at.offsetTop + 12}px`;
  });
  const last = props.kept.at.at(-1) ?? 0;
  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    made.batch(() => {
      made.setData(data(props), false);
      made.setScale("x", { min: (last - props.window) / 1000, max: last / 1000 });
      made.redraw(false);
    });
  }, [props.kept, props.window, theme, tongue, dark]);
  const shown = index !== null && index < props.kept.at.length ? index : null;
  const value = (line: Line) => {
    const values = props.kept.series[line.name] ?? [];
    if (shown !== null) return values[shown] ?? null;
    return lastKnown(values);
  };
  const said = props.lines.map((line) => `${line.label} ${props.format(value(line))}`).join(", ");
  return (
    <section
      class="card chart"
      aria-labelledby={id}
      onPointerEnter={() => setOver(true)}
      onPointerLeave={() => setOver(false)}
    >
      <header class="chart-head">
        <h2 id={id}>{props.title}</h2>
        <ul class="chart-legend">
          {props.lines.map((line) => (
            <li key={line.name} class={`line-${line.color}`}>
              <span class="chart-key" />
              <span class="chart-name">{line.label}</span>
              <b>{props.format(value(line))}</b>
            </li>
          ))}
        </ul>
      </header>
      <div ref={box} class="chart-box" role="img" aria-label={`${props.title}: ${said}`} />
      {shown !== null && over && (
        <div ref={tip} class="chart-tip" aria-hidden="true">
          <time>{clock(props.kept.at[shown] ?? 0)}</time>
          {props.lines.map((line) => (
            <p key={line.name} class={`line-${line.color}`}>
              <span class="chart-key" />
              <span class="chart-name">{line.label}</span>
              <b>{props.format(value(line))}</b>
            </p>
          ))}
        </div>
      )}
    </section>
  );
}

/** Whether the page is dark now, also when the system decides. */
function useDark(): boolean {
  const read = () => document.documentElement.dataset["theme"] === "dark";
  const [dark, setDark] = useState(read);
  useEffect(() => {
    const watch = new MutationObserver(() => setDark(read()));
    watch.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => watch.disconnect();
  }, []);
  return dark;
}
