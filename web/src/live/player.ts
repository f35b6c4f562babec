/** The clock of a recording: that of a film, or one of its own. */

import { signal } from "@preact/signals";

/** Times are ms of the recording. */
export class Player {
  readonly playing = signal(false);
  readonly at = signal(0);
  readonly length = signal(0);
  readonly silent = signal(true);
  #film: HTMLVideoElement | null = null;
  #off: AbortController | undefined;
  #from = 0; // where it stood at `#since`
  #since = 0;

  /** Follow a film from now on; null: a clock of its own, from the start. */
  follow(film: HTMLVideoElement | null): void {
    this.#off?.abort();
    this.#film = film;
    this.#from = this.at.value = 0;
    this.playing.value = false;
    if (!film) return;
    this.#off = new AbortController();
    const { signal: over } = this.#off;
    const hear = (event: string, work: () => void) => film.addEventListener(event, work, { signal: over });
    hear("play", () => (this.playing.value = true));
    hear("pause", () => (this.playing.value = false));
    hear("durationchange", () => (this.length.value = Number.isFinite(film.duration) ? film.duration * 1000 : 0));
    hear("volumechange", () => (this.silent.value = film.muted));
    this.silent.value = film.muted;
    this.playing.value = !film.paused;
  }

  now(): number {
    if (this.#film) return Math.round(this.#film.currentTime * 1000);
    const gone = this.playing.peek() ? performance.now() - this.#since : 0;
    const at = Math.min(this.#from + gone, this.length.peek());
    if (this.playing.peek() && at >= this.length.peek()) this.play(false);
    return Math.round(at);
  }

  play(on: boolean): void {
    if (this.#film) {
      if (on) void this.#film.play().catch(() => {}); // the browser does not want to: it stays paused
      else this.#film.pause();
      return;
    }
    if (on === this.playing.peek()) return;
    if (on && this.#from >= this.length.peek()) this.#from = 0; // once more
    if (!on) this.#from = Math.min(this.#from + performance.now() - this.#since, this.length.peek());
    this.#since = performance.now();
    this.playing.value = on;
  }

  seek(ms: number): void {
    this.at.value = ms;
    if (this.#film) this.#film.currentTime = ms / 1000;
    this.#from = ms;
    this.#since = performance.now();
  }

  silence(on: boolean): void {
    if (this.#film) this.#film.muted = on;
  }
}
