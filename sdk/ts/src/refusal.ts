/**
 * What goes wrong. The tree is that of the Python SDK; classes with a code are generated.
 *
 *     Refusal
 *     ├── BadRequest  1xx: mend the client    … OutboxFull WrongUser (no code: from this side)
 *     ├── Denied      2xx: not allowed        … LoggedOut
 *     └── Transient   3xx: later, same op     … Offline
 *     Stopped, LogCut (not refusals: nobody was asked)
 */

/** Understood, and not done. `text` may be shown to a person; `code` is 100 where there is none. */
export class Refusal extends Error {
  static readonly code: number = 100;
  static readonly label: string = "Refusal";
  /** The number of the wire. */
  readonly code: number;
  /** May be asked again; a call with the same op. */
  readonly retry: boolean;
  /** Not before this many ms; 0 = not known. */
  readonly retryAfterMs: number;

  constructor(text = "", options: { retryAfterMs?: number; code?: number } = {}) {
    super(text);
    const kind = new.target as typeof Refusal;
    this.name = kind.label;
    this.code = options.code ?? kind.code;
    this.retryAfterMs = options.retryAfterMs ?? 0;
    this.retry = this instanceof Transient;
  }

  get text(): string {
    return this.message;
  }
}

/** Mend the client: the same call will fail again. */
export class BadRequest extends Refusal {
  static override readonly label: string = "BadRequest";
}

/** Not allowed: authenticate again, or ask somebody for the right. */
export class Denied extends Refusal {
  static override readonly label: string = "Denied";
}

/** Retry later with the same op. */
export class Transient extends Refusal {
  static override readonly label: string = "Transient";
}

/** Classes by name from `code name code name …`; the hundreds digit says the family. */
export function kinds(table: string): Map<string, typeof Refusal> {
  const made = new Map<string, typeof Refusal>();
  for (const [, digits, label] of table.matchAll(/(\d+) (\w+)/g)) {
    const code = Number(digits);
    made.set(
      label!,
      class extends family(code) {
        static override readonly code: number = code;
        static override readonly label: string = label!;
      },
    );
  }
  return made;
}

/** The class of all codes with the same hundreds digit. */
export function family(code: number): typeof Refusal {
  const families = [undefined, BadRequest, Denied, Transient];
  return (code !== Refusal.code && families[Math.floor(code / 100)]) || Refusal;
}

/** There was no connection in time; nothing was sent. Ask again when connected. */
export class Offline extends Transient {
  static override readonly label: string = "Offline";
}

/** Too many calls wait to be sent; nothing was queued. Wait for some to be acknowledged. */
export class OutboxFull extends BadRequest {
  static override readonly label: string = "OutboxFull";
}

/** The token is of another user than the store: use one `name` per user and server. */
export class WrongUser extends BadRequest {
  static override readonly label: string = "WrongUser";
}

/** Nobody is logged in on this device (any more): `getToken` throws it to stop the client. */
export class LoggedOut extends Denied {
  static override readonly label: string = "LoggedOut";
}

/** The client was closed. Calls stay in the store and are sent by the next client of its name. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

/** Entries `low` to `high` of a log were passed over: `far`, `floor` or `epoch`. Start again at `high`. */
export class LogCut extends Error {
  override readonly name = "LogCut";

  constructor(
    readonly log: string,
    readonly cut: Cut,
  ) {
    super(`${log}: entries ${cut.low} to ${cut.high} are gone (${cut.reason})`);
  }
}

/**
 * Entries low … high were passed over. `far`: more than is kept, they are in the log; `floor`:
 * they cannot be read; `epoch`: the log began anew, `low` is 0.
 */
export interface Cut {
  low: number;
  high: number;
  reason: "far" | "floor" | "epoch";
}
