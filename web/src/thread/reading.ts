/** The read cursor: it moves only while somebody can see the messages. */

import { client, rows } from "../session/index.js";

const CALM = 250; // ms that a message has to be in view

export class ReadCursor {
  private wanted = 0;
  private done = 0;
  private timer = 0;

  constructor(readonly log: string) {}

  listen(): void {
    document.addEventListener("visibilitychange", this.look);
    addEventListener("focus", this.look);
  }

  close(): void {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.look);
    removeEventListener("focus", this.look);
  }

  /** Everything up to `seq` is in view. */
  seen(seq: number): void {
    this.wanted = Math.max(this.wanted, seq);
    this.look();
  }

  private readonly look = (): void => {
    const row = rows.peek().get(this.log);
    const from = Math.max(this.done, row?.read ?? 0);
    if (this.wanted <= from && !row?.marked) return;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      if (document.visibilityState !== "visible" || !document.hasFocus()) return;
      const seq = this.wanted;
      if (seq <= 0) return;
      this.done = seq;
      client().markRead(this.log, seq).catch(() => {
        this.done = 0; // tried again with the next look
      });
    }, CALM);
  };
}
