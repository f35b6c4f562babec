/** Choose where messages are forwarded to, one by one or as one bundle. */

import { useState } from "preact/hooks";
import { ChatAvatar, client, isDirect, me, nameOf, peerOf, rows, sortedRows, stateOf, titleOf } from "../session/index.js";
import { Button, Dialog, EmptyState, Icon, Input, toast } from "../ui/index.js";
import { tell } from "./actions.js";
import { forwarding, selection } from "./focus.js";
import { words } from "./words.js";

const ONE_BY_ONE = 64; // messages that the server takes by themselves
const BUNDLE = 100;

export function ForwardDialog({ sources }: { sources: readonly { log: string; seq: number }[] }) {
  const w = words();
  const [query, setQuery] = useState("");
  const [targets, setTargets] = useState<ReadonlySet<string>>(new Set());
  const [merged, setMerged] = useState(sources.length > 1);
  const close = () => (forwarding.value = null);
  const q = query.trim().toLocaleLowerCase();
  const found = sortedRows.value.filter(
    (row) => row.role > 0 && !stateOf(row).dissolved_at && titleOf(row).toLocaleLowerCase().includes(q),
  );
  const toggle = (log: string) => {
    const next = new Set(targets);
    if (!next.delete(log)) next.add(log);
    setTargets(next);
  };
  const bundleTitle = () => {
    const log = sources[0]?.log ?? "";
    const row = rows.value.get(log);
    const self = me.value?.user ?? "";
    if (!row) return "";
    const who = isDirect(log) ? `${nameOf(peerOf(log, self))} & ${nameOf(self)}` : titleOf(row);
    return w.bundleTitle(who).slice(0, 200);
  };
  const send = () => {
    const most = merged ? BUNDLE : ONE_BY_ONE;
    if (sources.length > most) {
      toast(w.tooManyToForward(most), { kind: "bad" });
      return;
    }
    const args = {
      sources: sources.map((s) => ({ ...s })),
      ...(merged && { merged: true, title: bundleTitle() }),
    };
    for (const log of targets) client().call("chat.forward", args, { log }).catch(tell);
    selection.value = null;
    close();
    toast(w.forwarded, { kind: "good" });
  };
  return (
    <Dialog
      title={w.forwardTo}
      onClose={close}
      class="forward"
      actions={
        <>
          {sources.length > 1 && (
            <span class="forward-how" role="radiogroup">
              {[false, true].map((bundle) => (
                <button
                  key={String(bundle)}
                  type="button"
                  role="radio"
                  aria-checked={merged === bundle}
                  class={`fwd-chip ${merged === bundle ? "fwd-chip-on" : ""}`}
                  onClick={() => setMerged(bundle)}
                >
                  {bundle ? w.asBundle : w.oneByOne}
                </button>
              ))}
            </span>
          )}
          <Button kind="primary" icon="send" disabled={targets.size === 0} onClick={send}>
            {w.forwardYes(targets.size)}
          </Button>
        </>
      }
    >
      <Input label={w.find} quiet placeholder={w.find} type="search" value={query} onInput={setQuery} autofocus />
      {found.length === 0 && <EmptyState icon="search" title={w.noneFound} />}
      <ul class="forward-list">
        {found.map((row) => (
          <li key={row.log}>
            <label class="fwd">
              <input type="checkbox" class="unseen" checked={targets.has(row.log)} onChange={() => toggle(row.log)} />
              <ChatAvatar row={row} size={40} />
              <span class="ellipsis fwd-name">{titleOf(row)}</span>
              <span class={`fwd-mark ${targets.has(row.log) ? "fwd-on" : ""}`} aria-hidden="true">
                {targets.has(row.log) && <Icon name="check" size={15} />}
              </span>
            </label>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
