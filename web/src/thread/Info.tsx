/** Who has got and who has read a message. */

import { useEffect, useState } from "preact/hooks";
import { client, isDirect, me, nameOf, peerOf, reasonOf, rows, UserAvatar } from "../session/index.js";
import { Dialog, fullWhen, Spinner } from "../ui/index.js";
import { inspected } from "./focus.js";
import type { MessageItem } from "./items.js";
import type { ReceiptAnswer } from "./store.js";
import { words } from "./words.js";

export function InfoDialog({ log, item }: { log: string; item: MessageItem }) {
  const w = words();
  const [found, setFound] = useState<ReceiptAnswer | null>(null);
  const [error, setError] = useState("");
  const self = me.value?.user ?? "";
  useEffect(() => {
    const row = rows.peek().get(log);
    if (isDirect(log) && row) {
      const peer = [peerOf(log, self)];
      setFound({
        mode: "names", members: 2,
        read_by: row.peer_read >= item.seq ? peer : [],
        delivered_to: row.peer_delivered >= item.seq ? peer : [],
      });
      return;
    }
    client()
      .query<ReceiptAnswer>("receipts", { seq: item.seq }, log)
      .then(setFound)
      .catch((e: unknown) => setError(reasonOf(e)));
  }, []);
  const without = (users: readonly string[] = []) => users.filter((u) => u !== self);
  const read = without(found?.read_by);
  const got = without(found?.delivered_to).filter((u) => !read.includes(u));
  return (
    <Dialog title={w.infoTitle} size="s" onClose={() => (inspected.value = null)}>
      <p class="info-at">{fullWhen(item.at)}</p>
      {error && <p role="alert">{error}</p>}
      {!found && !error && <Spinner />}
      {found?.mode === "off" && <p>{w.noReceipts}</p>}
      {found?.mode === "counts" && (
        <>
          <p>{w.readBy(Math.max(0, (found.read ?? 0) - 1))}</p>
          <p>{w.deliveredTo(Math.max(0, (found.delivered ?? 0) - 1))}</p>
        </>
      )}
      {found?.mode === "names" && (
        <>
          <People title={w.readBy(read.length)} users={read} />
          <People title={w.deliveredTo(got.length)} users={got} />
        </>
      )}
    </Dialog>
  );
}

function People({ title, users }: { title: string; users: readonly string[] }) {
  return (
    <section class="info-part">
      <h3>{title}</h3>
      {users.length === 0 && <p class="text-quiet">{words().nobody}</p>}
      <ul>
        {users.map((user) => (
          <li key={user} class="info-one">
            <UserAvatar user={user} size={32} />
            <span class="ellipsis">{nameOf(user)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
