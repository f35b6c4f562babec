/** What is known of a room's state, and how acts of order change its lists. Pure. */

/** What all viewers are told of a room: the value `room`. */
export interface Told {
  title: string;
  open: boolean;
  slow_s: number;
  muted_all: boolean;
}

/** The state as a moderator sees it; a viewer's has no lists. */
export interface RoomState extends Partial<Told> {
  host?: string;
  guests?: boolean;
  hold?: boolean;
  rate?: number;
  muted?: Record<string, number>;
  banned?: Record<string, number>;
  shadowed?: string[];
}

type Terms = Readonly<Record<string, number>>;

/** The lists of the muted and the banned after an act; those that it does not change are not there. */
export function listsAfter(
  { muted, banned }: RoomState,
  act: string | undefined,
  user: string,
  until: number,
  on: boolean,
): Pick<RoomState, "muted" | "banned"> {
  if (act === "mute") return { muted: listed(muted, user, on ? until : undefined) };
  if (act === "ban") return { banned: listed(banned, user, until) };
  if (act === "unban") return { banned: listed(banned, user, undefined) };
  return {};
}

function listed(list: Terms = {}, user: string, until: number | undefined): Record<string, number> {
  const { [user]: _, ...rest } = list;
  return until === undefined ? rest : { ...rest, [user]: until };
}
