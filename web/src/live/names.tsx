/** How people of a room are called and shown. */

import { hue, lang } from "../ui/index.js";
import { nameOf } from "../session/index.js";
import { words } from "./words.js";

/** The display name; a guest has none. */
export function calledIn(user: string): string {
  return user.startsWith("guest.") ? `${words().guest} ${user.slice(6, 10)}` : nameOf(user);
}

/** A name in the colour of its person. */
export function Who({ user, you = false }: { user: string; you?: boolean }) {
  return <b class={`who who-${hue(user)}`}>{you ? words().you : calledIn(user)}</b>;
}

/** 1234 as 1,234, and 12345 as 1.2万 or 12.3K. */
export function count(n: number): string {
  const short = n >= 10_000;
  return new Intl.NumberFormat(lang.value, short ? { notation: "compact", maximumFractionDigits: 1 } : {}).format(n);
}
