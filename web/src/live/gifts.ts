/** Gifts: what the panel offers, and how gifts that come one after another become one banner. */

export interface Gift {
  key: string;
  sign: string;
  /** Of one. */
  value: number;
}

/** What the demonstration offers. A real shop sends `room.gift` from its back end. */
export const CATALOGUE: readonly Gift[] = [
  { key: "rose", sign: "🌹", value: 1 },
  { key: "tea", sign: "🍵", value: 5 },
  { key: "kite", sign: "🪁", value: 10 },
  { key: "cake", sign: "🎂", value: 50 },
  { key: "goose", sign: "🪿", value: 100 },
  { key: "rocket", sign: "🚀", value: 500 },
];

export function signOf(key: string): string {
  return CATALOGUE.find((gift) => gift.key === key)?.sign ?? "🎁";
}

/** The body of an entry `gift`; fields with their default are left out. */
export interface Given {
  order: string;
  gift: string;
  count: number;
  value?: number;
  name?: string;
  combo?: string;
}

export interface Banner {
  /** Of the combo, or of the entry. */
  id: string;
  from: string;
  gift: string;
  name: string;
  count: number;
  value: number;
  /** ms, local clock; gone from then on. */
  until: number;
}

export const STAYS = 5_000; // ms after the last one of a combo
const DEAR = 100; // value from which on a banner stays longer
const DEAR_STAYS = 9_000;
const MOST = 50; // waiting; of more the cheapest go: all gifts stand in the list beside

/** The banners after one more gift: a combo of the same sender and gift grows and stays longer. */
export function merged(banners: readonly Banner[], from: string, given: Given, now: number): Banner[] {
  const { gift, count, value = 0, name = "", combo = "" } = given;
  const id = combo ? `${from} ${gift} ${combo}` : given.order;
  const alive = banners.filter((banner) => banner.until > now || banner.id === id);
  const held = alive.find((banner) => banner.id === id);
  const total = (held?.value ?? 0) + value;
  const until = now + (total >= DEAR ? DEAR_STAYS : STAYS);
  const banner: Banner = { id, from, gift, name, count: (held?.count ?? 0) + count, value: total, until };
  if (held) return alive.map((other) => (other === held ? banner : other));
  return [...alive, banner].sort((a, b) => b.value - a.value).slice(0, MOST);
}

/** Those that are shown: the dearest of those that are not over, in the order they have. */
export function shown(banners: readonly Banner[], now: number, most: number): Banner[] {
  return banners.filter((banner) => banner.until > now).slice(0, most);
}
