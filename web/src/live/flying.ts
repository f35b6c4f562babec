/**
 * Messages over the stage. Nodes are pooled and moved by the browser's compositor (Web
 * Animations), so a busy main thread does not make them stutter. What finds no free lane within a
 * moment is not flown: all of it stands in the list beside.
 */

import type { Said } from "./lines.js";
import { Lanes, Rows } from "./lanes.js";

const CROSS_MS = 8_000;
const STAY_MS = 4_000;
const PATIENCE_MS = 1_200; // for a free lane
const MOST_WAITING = 60;
const PLACE_MS = 80; // between two looks for free lanes: each change of the page has its price
const MOST_PLACED = 6; // per look
const MOST_FLYING = 160;
const PADDING = 8; // px on each side, as in the style sheet

interface Waiting {
  line: Said;
  own: boolean;
  width: number;
  since: number;
}

interface Flying {
  node: HTMLElement;
  animation: Animation;
  off: number;
}

const measure = document.createElement("canvas").getContext("2d");

export class Flyers {
  #lanes = new Lanes(CROSS_MS);
  #top = new Rows();
  #bottom = new Rows();
  #waiting: Waiting[] = [];
  #flying = new Set<Flying>();
  #pool: HTMLElement[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #paused = 0; // since when; 0 = moving
  #held = 0; // ms held so far
  #width = 0;
  #height = 0;
  #line = 30;
  readonly #sizes: ResizeObserver;

  constructor(
    private readonly box: HTMLElement,
    /** Nothing crosses the stage: for those whom movement troubles. */
    private readonly still: boolean,
  ) {
    this.#sizes = new ResizeObserver(() => this.#measure());
    this.#sizes.observe(box);
    this.#measure();
  }

  /** Fly a message, now or in a moment. */
  put(line: Said, own: boolean): void {
    if (this.#paused || document.hidden) return;
    if (measure) measure.font = getComputedFont(this.#line);
    const width = (measure?.measureText(line.text).width ?? line.text.length * 20) + 2 * PADDING;
    if (this.#waiting.length >= MOST_WAITING) {
      const at = this.#waiting.findIndex((waiting) => !waiting.own);
      this.#waiting.splice(Math.max(at, 0), 1);
    }
    this.#waiting.push({ line, own, width, since: performance.now() });
    this.#timer ??= setTimeout(this.#work, 0);
  }

  /** Take a message off the stage. */
  drop(off: number): void {
    for (const flying of [...this.#flying]) if (flying.off === off) this.#land(flying);
    this.#waiting = this.#waiting.filter(({ line }) => line.off !== off);
  }

  pause(on: boolean): void {
    if (on === Boolean(this.#paused)) return;
    const now = performance.now();
    if (on) this.#paused = now;
    else {
      this.#held += now - this.#paused;
      this.#paused = 0;
    }
    for (const { animation } of this.#flying) {
      if (on) animation.pause();
      else animation.play();
    }
  }

  clear(): void {
    this.#waiting = [];
    for (const flying of [...this.#flying]) this.#land(flying);
    this.#lanes.clear();
    this.#top.clear();
    this.#bottom.clear();
  }

  close(): void {
    this.#sizes.disconnect();
    clearTimeout(this.#timer);
    this.clear();
  }

  #measure(): void {
    const { clientWidth, clientHeight } = this.box;
    if (clientWidth === this.#width && clientHeight === this.#height) return;
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#line = clientWidth < 560 ? 25 : 32;
    this.clear(); // the lanes are others now
  }

  #work = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    let placed = 0;
    const left: Waiting[] = [];
    for (const waiting of this.#waiting) {
      if (placed < MOST_PLACED && this.#flying.size < MOST_FLYING && this.#place(waiting, now - this.#held)) placed += 1;
      else if (waiting.own || now - waiting.since < PATIENCE_MS) left.push(waiting);
    }
    this.#waiting = left;
    if (left.length && !this.#paused) this.#timer = setTimeout(this.#work, PLACE_MS);
  };

  #place(waiting: Waiting, now: number): boolean {
    const { line, width, own } = waiting;
    const { top, across, bottom } = shares(Math.floor((this.#height - 8) / this.#line));
    const late = own && performance.now() - waiting.since > PATIENCE_MS; // then over another one
    if (line.position === "scroll" && !this.still) {
      const lane = taken(this.#lanes.take(across, this.#width, width, now), late);
      if (lane < 0) return false;
      const y = 4 + (top + lane) * this.#line;
      this.#fly(waiting, `translate3d(${this.#width}px,${y}px,0)`, `translate3d(${-width}px,${y}px,0)`, CROSS_MS);
      return true;
    }
    const low = line.position === "bottom";
    const row = taken(low ? this.#bottom.take(bottom, now, STAY_MS) : this.#top.take(top, now, STAY_MS), late);
    if (row < 0) return false;
    const y = low ? this.#height - 4 - (row + 1) * this.#line : 4 + row * this.#line;
    const where = `translate3d(${Math.max(0, (this.#width - width) / 2)}px,${y}px,0)`;
    this.#fly(waiting, where, where, STAY_MS);
    return true;
  }

  #fly({ line, own }: Waiting, from: string, to: string, duration: number): void {
    const node = this.#pool.pop() ?? document.createElement("span");
    node.className = own ? "flyer flyer-own" : "flyer";
    node.textContent = line.text;
    node.style.color = line.color || "#ffffff";
    this.box.append(node);
    const animation = node.animate([{ transform: from }, { transform: to }], { duration });
    const flying = { node, animation, off: line.off };
    this.#flying.add(flying);
    animation.onfinish = () => this.#land(flying);
  }

  #land(flying: Flying): void {
    if (!this.#flying.delete(flying)) return;
    flying.animation.onfinish = null;
    flying.animation.cancel();
    flying.node.remove();
    this.#pool.push(flying.node);
  }
}

/** Which of the rows belong to what stands at the top, crosses, and stands at the bottom. */
function shares(rows: number): { top: number; across: number; bottom: number } {
  const top = rows > 9 ? 2 : 1;
  const bottom = rows > 9 ? Math.floor(rows * 0.3) : 1; // a tall stage stays to be seen
  return { top, across: Math.max(0, rows - top - bottom), bottom };
}

function taken(place: number, late: boolean): number {
  return place < 0 && late ? 0 : place;
}

const fonts = new Map<number, string>();

/** The font of a flyer, as the style sheet has it. */
function getComputedFont(line: number): string {
  let font = fonts.get(line);
  if (!font) {
    const family = getComputedStyle(document.body).fontFamily;
    fonts.set(line, (font = `650 ${line > 28 ? 22 : 17}px ${family}`));
  }
  return font;
}
