/** When one may speak again. Pure; ms of the local clock. */

export interface Pace {
  /** Of the room; 0 = no slow mode, or it is not for this person. */
  slowS: number;
  /** When this page last said something; 0 = it has not. */
  saidAt: number;
  /** The server refused until then; 0 = it did not. */
  blockedUntil: number;
}

/** Whole seconds until one may speak; 0 = now. */
export function leftToSay({ slowS, saidAt, blockedUntil }: Pace, now: number): number {
  const slow = slowS && saidAt ? saidAt + slowS * 1000 : 0;
  return Math.max(0, Math.ceil((Math.max(slow, blockedUntil) - now) / 1000));
}
