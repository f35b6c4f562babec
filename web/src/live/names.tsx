/** How people of a room are called and shown. */

import { Avatar, type AvatarProps, hue, lang } from "../ui/index.js";
import { nameOf, phase, UserAvatar } from "../session/index.js";
import { readable } from "./readable.js";
import { words } from "./words.js";

const GUEST = "guest.";

/** The display name; who is not logged in, here or there, has no more than an id. */
export function calledIn(user: string): string {
  if (user.startsWith(GUEST)) return `${words().guest} ${user.slice(GUEST.length, GUEST.length + 4)}`;
  return phase.value === "in" ? nameOf(user) : readable(user, words().user);
}

/** A person's picture. */
export function Face({ user, size }: { user: string; size: AvatarProps["size"] }) {
  if (phase.value === "in") return <UserAvatar user={user} size={size} />;
  return <Avatar name={calledIn(user)} id={user} size={size} />;
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
