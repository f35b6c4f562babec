/** Who asked to be let into a group; for its admins. */

import type { InboxRow } from "@hongyan/sdk";
import { call } from "../list/actions.js";
import { ADMIN, nameOf, UserAvatar } from "../session/index.js";
import { Button, shortWhen } from "../ui/index.js";
import { words } from "./detailWords.js";

/** Who waits, by when they asked; for admins only, else nobody. */
export function pendingOf(row: InboxRow): [string, number][] {
  const { pending } = row.state as { pending?: Record<string, number> };
  return row.role >= ADMIN ? Object.entries(pending ?? {}).sort((a, b) => a[1] - b[1]) : [];
}

export function PendingList({ row }: { row: InboxRow }) {
  const w = words();
  const waiting = pendingOf(row);
  if (!waiting.length) return null;
  return (
    <section>
      <h3 class="found-head">{w.pending}</h3>
      <ul>
        {waiting.map(([user, at]) => (
          <li key={user} class="hit hit-still">
            <UserAvatar user={user} size={40} />
            <span class="hit-main">
              <span class="hit-title ellipsis">{nameOf(user)}</span>
              <span class="hit-id ellipsis">{w.asked(shortWhen(at))}</span>
            </span>
            <Button kind="plain" class="btn-s" onClick={() => void call("chat.reject", { user }, row.log)}>
              {w.reject}
            </Button>
            <Button kind="primary" class="btn-s" onClick={() => void call("chat.approve", { user }, row.log)}>
              {w.approve}
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
