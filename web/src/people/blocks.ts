/** The block list: in the person's own log. */

import { tried } from "../login/tried.js";
import { client, me, rows } from "../session/index.js";

/** Who is blocked, and since when (ms). */
export function blocked(): ReadonlyMap<string, number> {
  const who = me.value;
  const row = who ? rows.value.get(`${who.tenant}/u/${who.user}`) : undefined;
  const { blocked: list = {} } = (row?.state ?? {}) as { blocked?: Record<string, number> };
  return new Map(Object.entries(list));
}

/** Take nothing from a person any more, or again; says why when it is refused. */
export function setBlocked(user: string, on: boolean): Promise<boolean> {
  return tried(client().call(on ? "own.block" : "own.unblock", { user }));
}
