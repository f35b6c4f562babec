/** What is kept on this device, and what waits to be sent. */

import type { PendingCall } from "@hongyan/sdk";
import { useEffect, useState } from "preact/hooks";
import { type Content, client, contentLine, isChat, outbox, rows, titleOf } from "../session/index.js";
import { Button, fileSize, Switch, toast } from "../ui/index.js";
import { Fact } from "./Profile.js";
import { words } from "./words.js";

interface Kept {
  used: number;
  allowed: number;
  persistent: boolean;
}

async function look(): Promise<Kept> {
  const { usage = 0, quota = 0 } = await navigator.storage.estimate();
  return { used: usage, allowed: quota, persistent: await navigator.storage.persisted() };
}

export function StorageSection() {
  const w = words();
  const [kept, setKept] = useState<Kept | null>(null);
  const can = "storage" in navigator; // only on secure pages
  useEffect(() => {
    if (can) void look().then(setKept);
  }, []);
  const persist = async () => {
    if (!(await navigator.storage.persist())) toast(w.persistNo);
    setKept(await look());
  };
  const chats = [...rows.value.values()].filter((row) => isChat(row.log)).length;
  return (
    <div class="form">
      <p class="me-quiet">{w.offlineHint}</p>
      <dl class="facts">
        <Fact name={w.used} value={kept ? w.usedOf(fileSize(kept.used), fileSize(kept.allowed)) : w.unknown} />
        <Fact name={w.chats} value={String(chats)} />
        <Fact name={w.waiting} value={String(outbox.value.length)} />
      </dl>
      {kept && (
        <Switch
          label={w.persist}
          hint={w.persistHint}
          on={kept.persistent}
          disabled={kept.persistent}
          onChange={() => void persist()}
        />
      )}
      {outbox.value.length > 0 && (
        <ul class="me-list" aria-label={w.waiting}>
          {outbox.value.map((call) => (
            <Waiting key={call.op} call={call} />
          ))}
        </ul>
      )}
    </div>
  );
}

function Waiting({ call }: { call: PendingCall }) {
  const w = words();
  const row = rows.value.get(call.log);
  const { content } = call.args as unknown as { content?: Content };
  const failed = call.state === "failed";
  return (
    <li class="me-item">
      <span class="hit-main">
        <span class="hit-title ellipsis">{content ? contentLine(content) : call.name}</span>
        <span class="hit-id ellipsis">
          {row ? `${titleOf(row)} · ` : ""}
          {failed ? `${w.failed}: ${call.error?.text ?? ""}` : w.queued}
        </span>
      </span>
      {failed && (
        <Button class="btn-s" onClick={() => client().retry(call.op)}>
          {w.retry}
        </Button>
      )}
      {call.state !== "sent" && (
        <Button class="btn-s" kind="plain" onClick={() => client().discard(call.op)}>
          {w.discard}
        </Button>
      )}
    </li>
  );
}
