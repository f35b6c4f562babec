/** Hearts that rise when somebody likes the room; decoration only. */

const SIGNS = ["❤️", "🧡", "💛", "💚", "💙", "💜"];
const RISE_MS = 2_400;
const MOST = 24; // at once
const MOST_OF_OTHERS = 5; // per tick

export class Hearts {
  #up = 0;
  #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(
    private readonly box: HTMLElement,
    private readonly still: boolean,
  ) {}

  /** One's own click. */
  rise(): void {
    if (this.still || this.#up >= MOST || document.hidden) return;
    this.#up += 1;
    const node = document.createElement("span");
    node.className = "heart";
    node.textContent = SIGNS[Math.floor(Math.random() * SIGNS.length)]!;
    const sway = () => (Math.random() - 0.5) * 60;
    const [one, two, three] = [sway(), sway(), sway()];
    this.box.append(node);
    const animation = node.animate(
      [
        { transform: "translate3d(0,0,0) scale(0.4)", opacity: 0 },
        { transform: `translate3d(${one}px,-40px,0) scale(1.15)`, opacity: 1, offset: 0.15 },
        { transform: `translate3d(${two}px,-130px,0) scale(1)`, opacity: 0.9, offset: 0.6 },
        { transform: `translate3d(${three}px,-220px,0) scale(0.8)`, opacity: 0 },
      ],
      { duration: RISE_MS, easing: "ease-out" },
    );
    animation.onfinish = () => {
      node.remove();
      this.#up -= 1;
    };
  }

  /** The total grew by so many. */
  others(n: number): void {
    const hearts = Math.min(n, MOST_OF_OTHERS);
    for (let i = 0; i < hearts; i += 1) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.rise();
      }, (i * 900) / hearts);
      this.#timers.add(timer);
    }
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
