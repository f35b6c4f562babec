/** Come into a group by a link. */

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { codeOf } from "../login/tried.js";
import { client, openChat, reasonOf, rows } from "../session/index.js";
import { eraseHash } from "../session/view.js";
import { Button, Dialog, Input, toast } from "../ui/index.js";
import { type Invitation, invitationIn } from "./invitation.js";
import { words } from "./words.js";

/** Join, or ask to; throws the reason in words. */
async function join({ log, token }: Invitation): Promise<void> {
  const row = rows.peek().get(log);
  if (row?.role) return openChat(log);
  try {
    const { seq } = await client().call("chat.join", token ? { token } : {}, { log });
    if (seq > 0) {
      toast(words().joined, { kind: "good" });
      openChat(log);
    } else toast(words().waits, { kind: "good", stays: 6000 });
  } catch (error) {
    throw new Error(codeOf(error) === 202 ? words().wrongLink : reasonOf(error));
  }
}

/** A field for the link; `done` is called after joining. */
export function JoinForm({ done }: { done: () => void }) {
  const w = words();
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    const invitation = invitationIn(text);
    if (!invitation) return setWrong(w.badLink);
    setBusy(true);
    try {
      await join(invitation);
      done();
    } catch (error) {
      setWrong(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <form
      class="form"
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        void submit();
      }}
    >
      <Input
        label={w.link}
        hint={w.linkHint}
        error={wrong}
        value={text}
        autofocus
        onInput={(value) => {
          setText(value);
          setWrong("");
        }}
      />
      <Button kind="primary" type="submit" wide busy={busy}>
        {w.joinDo}
      </Button>
    </form>
  );
}

const invitation = signal<Invitation | null>(null);

function take(): void {
  const found = location.hash.startsWith("#join=") ? invitationIn(location.hash) : null;
  if (!found) return;
  eraseHash(); // the token must not stay in the history
  invitation.value = found;
}

/** Asks whether to follow an invitation in the address bar. Once per page, for who is logged in. */
export function JoinHost() {
  useEffect(() => {
    take();
    addEventListener("hashchange", take);
    return () => removeEventListener("hashchange", take);
  }, []);
  return invitation.value ? <JoinDialog given={invitation.value} /> : null;
}

function JoinDialog({ given }: { given: Invitation }) {
  const w = words();
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const close = () => (invitation.value = null);
  const go = async () => {
    setBusy(true);
    try {
      await join(given);
      close();
    } catch (error) {
      setWrong(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={w.join} size="s" onClose={close}>
      <div class="form">
        <p>{w.joinAsk}</p>
        {wrong && (
          <p class="form-bad" role="alert">
            {wrong}
          </p>
        )}
        <Button kind="primary" wide busy={busy} autofocus onClick={() => void go()}>
          {w.joinDo}
        </Button>
      </div>
    </Dialog>
  );
}
