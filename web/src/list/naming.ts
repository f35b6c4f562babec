import type { InboxRow } from "@hongyan/sdk";
import { me, nameOf, peerOf, titleOf } from "../session/index.js";

/** All that a conversation may be looked for by: its title, the other's name and id. */
export function namesOf(row: InboxRow): string[] {
  const peer = peerOf(row.log, me.value?.user ?? "");
  return peer ? [titleOf(row), nameOf(peer), peer] : [titleOf(row)];
}
