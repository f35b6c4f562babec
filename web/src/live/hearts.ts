/** Hearts that rise when somebody likes the room; decoration only. Drawn on the stage's canvas. */

const SIGNS = ["❤️", "🧡", "💛", "💚", "💙", "💜"];
const RISE_MS = 2_400;
const MOST = 24; // at once
const MOST_OF_OTHERS = 5; // per tick
const SPREAD_MS = 900; // over which those of a tick begin
const SIZE = 28; // px of the sign
const RIGHT = 50; // px from the edge to its middle
const BOTTOM = 70;
const SWAY = 60; // px

/** Where a heart is on its way: time, height in px, size, how solid. */
const WAY = [
  { at: 0, up: 0, size: 0.4, solid: 0 },
  { at: 0.15, up: 40, size: 1.15, solid: 1 },
  { at: 0.6, up: 130, size: 1, solid: 0.9 },
  { at: 1, up: 220, size: 0.8, solid: 0 },
] as const;

interface Heart {
  from: number;
  picture: HTMLCanvasElement | undefined;
  sways: readonly number[];
}

export class Hearts {
  #up: Heart[] = [];
  #pictures = new Map<string, HTMLCanvasElement>();

  /** `wake`: there is something to draw. */
  constructor(
    private readonly still: boolean,
    private readonly wake: () => void,
  ) {}

  get count(): number {
    return this.#up.length;
  }

  /** One's own click. `from`: ms of the page's clock, now or soon. */
  rise(from = performance.now()): void {
    if (this.still || this.#up.length >= MOST || document.hidden) return;
    const sign = SIGNS[Math.floor(Math.random() * SIGNS.length)]!;
    const sways = WAY.map((_, n) => (n ? (Math.random() - 0.5) * SWAY : 0));
    this.#up.push({ from, picture: this.#picture(sign), sways });
    this.wake();
  }

  /** The total grew by so many. */
  others(n: number): void {
    const hearts = Math.min(n, MOST_OF_OTHERS);
    const now = performance.now();
    for (let i = 0; i < hearts; i += 1) this.rise(now + (i * SPREAD_MS) / hearts);
  }

  clear(): void {
    this.#up = [];
  }

  /** Put those that are on their way; whether any is left. Width and height in px of the page. */
  draw(pen: CanvasRenderingContext2D, now: number, sharp: number, width: number, height: number): boolean {
    this.#up = this.#up.filter(({ from }) => now - from < RISE_MS);
    for (const { from, picture, sways } of this.#up) {
      if (now < from || !picture) continue;
      const { up, size, solid, sway } = placeOf((now - from) / RISE_MS, sways);
      const side = SIZE * 1.3 * size * sharp;
      pen.globalAlpha = solid;
      const x = (width - RIGHT + sway) * sharp - side / 2;
      pen.drawImage(picture, x, (height - BOTTOM - up) * sharp - side / 2, side, side);
    }
    pen.globalAlpha = 1;
    return this.#up.length > 0;
  }

  #picture(sign: string): HTMLCanvasElement {
    let picture = this.#pictures.get(sign);
    if (picture) return picture;
    picture = document.createElement("canvas");
    const side = Math.ceil(SIZE * 1.3) * 2;
    picture.width = picture.height = side;
    const pen = picture.getContext("2d");
    if (pen) {
      pen.font = `${SIZE * 2}px ${getComputedStyle(document.body).getPropertyValue("--font-emoji") || "sans-serif"}`;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(sign, side / 2, side / 2);
    }
    this.#pictures.set(sign, picture);
    return picture;
  }
}

/** A heart's place, from 0 to 1 of its way. Pure. */
export function placeOf(part: number, sways: readonly number[]): { up: number; size: number; solid: number; sway: number } {
  const gone = 1 - (1 - Math.min(Math.max(part, 0), 1)) ** 2; // slower at the end
  const n = Math.max(1, WAY.findIndex(({ at }) => at >= gone));
  const [one, two] = [WAY[n - 1]!, WAY[n]!];
  const share = (gone - one.at) / (two.at - one.at);
  const between = (a: number, b: number) => a + (b - a) * share;
  return {
    up: between(one.up, two.up),
    size: between(one.size, two.size),
    solid: between(one.solid, two.solid),
    sway: between(sways[n - 1] ?? 0, sways[n] ?? 0),
  };
}
