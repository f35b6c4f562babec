/** Choose a day, and go to what was said then. */

import { useState } from "preact/hooks";
import { client, openChat, panel, phone, reasonOf } from "../session/index.js";
import { Dialog, Spinner, toast } from "../ui/index.js";
import { Calendar } from "./Calendar.js";
import { type Day, seqAt, startOf } from "./dates.js";
import { words } from "./words.js";

export function DateDialog({ log, onClose }: { log: string; onClose: () => void }) {
  const w = words();
  const [busy, setBusy] = useState(false);
  const go = async (day: Day) => {
    setBusy(true);
    try {
      const seq = await seqAt(client(), log, startOf(day));
      if (!seq) {
        toast(w.noneThatDay);
        setBusy(false);
        return;
      }
      onClose();
      if (phone.value) panel.value = null;
      openChat(log, seq);
    } catch (error) {
      toast(reasonOf(error), { kind: "bad" });
      setBusy(false);
    }
  };
  return (
    <Dialog title={w.date} size="s" onClose={onClose}>
      {busy ? (
        <div class="found-note">
          <Spinner />
        </div>
      ) : (
        <Calendar until={Date.now()} pick={(day) => void go(day)} />
      )}
    </Dialog>
  );
}
