/** Add people to a group. */

import { useState } from "preact/hooks";
import { call } from "../list/actions.js";
import type { Person } from "../session/index.js";
import { Button, Dialog, toast } from "../ui/index.js";
import { PeoplePicker } from "./PeoplePicker.js";
import { words } from "./words.js";

/** `members` are not offered. */
export function InviteDialog(props: { log: string; members: ReadonlySet<string>; onClose: () => void }) {
  const w = words();
  const [chosen, setChosen] = useState<Person[]>([]);
  const [busy, setBusy] = useState(false);
  const invite = async () => {
    setBusy(true);
    if (await call("chat.invite", { users: chosen.map((p) => p.user) }, props.log)) {
      toast(w.invited(chosen.length), { kind: "good" });
      props.onClose();
    } else setBusy(false);
  };
  return (
    <Dialog
      title={w.inviteTitle}
      class="dialog-flush"
      onClose={props.onClose}
      actions={
        <Button kind="primary" busy={busy} disabled={!chosen.length} onClick={() => void invite()}>
          {w.invite}
        </Button>
      }
    >
      <PeoplePicker chosen={chosen} onChange={setChosen} without={props.members} />
    </Dialog>
  );
}
