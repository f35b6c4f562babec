/**
 * Messages over the stage, drawn on a canvas: each text is painted once into a picture of its own,
 * and a frame only puts pictures. A hundred moving elements instead cost a hundred layers, which
 * without a graphics card left 16 frames a second of 60 (docs/live-page.md). What finds no free
 * lane within a moment is not flown: all of it stands in the list beside.
 */

import { Hearts } from "./hearts.js";
import type { Said } from "./lines.js";
import { Lanes, Rows } from "./lanes.js";

const CROSS_MS = 8_000;
const STAY_MS = 4_000;
const PATIENCE_MS = 1_200; // for a free lane
const MOST_WAITING = 60;
const PLACE_MS = 80; // between two looks for free lanes: each change of the page has its price
const MOST_PLACED = 6; // per look
const MOST_FLYING = 160;
const TELL_MS = 250;
const PADDING = 8; // px on each side
const STROKE = 3; // px around letters, so that they can be read on any film
const MOST_SHARP = 2; // device pixels per px

interface Waiting {
  line: Said;
  own: boolean;
  width: number;
  since: number;
}

interface Flying {
  picture: HTMLCanvasElement;
  width: number;
  y: number;
  /** Crosses the stage; else it stands in the middle. */
  moves: boolean;
  /** ms of the stage's clock. */
  from: number;
  until: number;
  off: number;
}

const measure = document.createElement("canvas").getContext("2d");

export class Flyers {
  #lanes = new Lanes(CROSS_MS);
  #top = new Rows();
  #bottom = new Rows();
  #waiting: Waiting[] = [];
  #flying = new Set<Flying>();
  #frame = 0;
  readonly #canvas = document.createElement("canvas");
  readonly #pen = this.#canvas.getContext("2d");
  #sharp = 1;
  #toldAt = -TELL_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #paused = 0; // since when; 0 = moving
  #held = 0; // ms held so far
  #width = 0;
  #height = 0;
  #line = 30;
  readonly #sizes: ResizeObserver;
  /** They rise over the same canvas: as elements each asked for layout when it came and went. */
  readonly hearts: Hearts;

  constructor(
    private readonly box: HTMLElement,
    /** Nothing crosses the stage: for those whom movement troubles. */
    private readonly still: boolean,
  ) {
    this.hearts = new Hearts(still, () => this.#wake());
    box.append(this.#canvas);
    this.#sizes = new ResizeObserver(() => this.#measure());
    this.#sizes.observe(box);
    this.#measure();
  }

  /** Fly a message, now or in a moment. */
  put(line: Said, own: boolean): void {
    if (this.#paused || document.hidden) return;
    if (measure) measure.font = fontOf(this.#line);
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
    for (const flying of this.#flying) if (flying.off === off) this.#flying.delete(flying);
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
    this.#draw();
  }

  clear(): void {
    this.#waiting = [];
    this.#flying.clear();
    this.#draw();
    this.#lanes.clear();
    this.#top.clear();
    this.#bottom.clear();
  }

  close(): void {
    this.#sizes.disconnect();
    this.hearts.clear();
    this.clear();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
  }

  #measure(): void {
    const { clientWidth, clientHeight } = this.box;
    if (clientWidth === this.#width && clientHeight === this.#height) return;
    this.#width = clientWidth;
    this.#height = clientHeight;
    this.#line = clientWidth < 560 ? 25 : 32;
    this.#sharp = Math.min(MOST_SHARP, devicePixelRatio);
    this.#canvas.width = Math.round(clientWidth * this.#sharp);
    this.#canvas.height = Math.round(clientHeight * this.#sharp);
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
      this.#fly(waiting, y, true, now);
      return true;
    }
    const low = line.position === "bottom";
    const row = taken(low ? this.#bottom.take(bottom, now, STAY_MS) : this.#top.take(top, now, STAY_MS), late);
    if (row < 0) return false;
    const y = low ? this.#height - 4 - (row + 1) * this.#line : 4 + row * this.#line;
    this.#fly(waiting, y, false, now);
    return true;
  }

  #fly({ line, own, width }: Waiting, y: number, moves: boolean, from: number): void {
    const until = from + (moves ? CROSS_MS : STAY_MS);
    this.#flying.add({ picture: this.#paint(line, own, width), width, y, moves, from, until, off: line.off });
    this.#wake();
  }

  /** How many are up, for whoever looks from outside; each change of it has its price in style. */
  #tell(up: string): void {
    const now = performance.now();
    if (this.box.dataset["flying"] === up || (up !== "0" && now - this.#toldAt < TELL_MS)) return;
    this.#toldAt = now;
    this.box.dataset["flying"] = up;
  }

  #wake(): void {
    if (!this.#frame) this.#frame = requestAnimationFrame(this.#draw);
  }

  /** The text as a picture. */
  #paint(line: Said, own: boolean, width: number): HTMLCanvasElement {
    const picture = document.createElement("canvas");
    picture.width = Math.ceil(width * this.#sharp);
    picture.height = Math.ceil(this.#line * this.#sharp);
    const pen = picture.getContext("2d");
    if (!pen) return picture;
    pen.scale(this.#sharp, this.#sharp);
    pen.font = fontOf(this.#line);
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = STROKE;
    pen.strokeStyle = "rgb(0 0 0 / 62%)";
    pen.strokeText(line.text, PADDING, this.#line / 2);
    pen.fillStyle = line.color || "#ffffff";
    pen.fillText(line.text, PADDING, this.#line / 2);
    if (!own) return picture;
    pen.strokeStyle = "rgb(255 255 255 / 85%)";
    pen.lineWidth = 2;
    pen.strokeRect(2, 2, width - 4, this.#line - 4);
    return picture;
  }

  /** One frame; as long as anything flies. */
  #draw = (): void => {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const { width: w, height: h } = this.#canvas;
    const pen = this.#pen;
    if (!pen) return;
    pen.clearRect(0, 0, w, h);
    const rising = this.hearts.draw(pen, performance.now(), this.#sharp, this.#width, this.#height);
    const now = (this.#paused || performance.now()) - this.#held;
    for (const flying of this.#flying) {
      const { picture, width, moves, from, until, y } = flying;
      if (now >= until) {
        this.#flying.delete(flying);
        continue;
      }
      const gone = ((now - from) * (this.#width + width)) / CROSS_MS;
      const x = moves ? this.#width - gone : Math.max(0, (this.#width - width) / 2);
      pen.drawImage(picture, Math.round(x * this.#sharp), Math.round(y * this.#sharp));
    }
    this.#tell(String(this.#flying.size));
    if (rising || (this.#flying.size && !this.#paused)) this.#wake();
  };
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

/** The font for a height of line. */
function fontOf(line: number): string {
  let font = fonts.get(line);
  if (!font) {
    const family = getComputedStyle(document.body).fontFamily;
    fonts.set(line, (font = `650 ${line > 28 ? 22 : 17}px ${family}`));
  }
  return font;
}
