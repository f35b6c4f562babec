/** Name and picture. */

import { useEffect, useState } from "preact/hooks";
import { tried } from "../login/tried.js";
import { me, personOf, UserAvatar } from "../session/index.js";
import { Button, Input, toast } from "../ui/index.js";
import { changeAccount, readAccount } from "./account.js";
import { PictureButton } from "./PictureButton.js";
import { words } from "./words.js";

const LONGEST = 64; // characters, as on the server

export function ProfileSection() {
  const w = words();
  const who = me.value;
  const user = who?.user ?? "";
  const person = personOf(user).value;
  const [name, setName] = useState(person.name || who?.name || "");
  const [before, setBefore] = useState(name);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    void readAccount().then(
      (account) => {
        setBefore(account.name);
        setName((typed) => (typed === before ? account.name : typed));
      },
      () => undefined, // offline: what is known is shown
    );
  }, []);
  const save = async (change: { name?: string; avatar?: string }) => {
    setBusy(true);
    const done = await tried(changeAccount(change).then((account) => setBefore(account.name)));
    setBusy(false);
    if (done) toast(w.saved, { kind: "good" });
  };
  return (
    <form
      class="form"
      onSubmit={(e) => {
        e.preventDefault();
        void save({ name: name.trim() });
      }}
    >
      <div class="me-picture">
        <PictureButton label={w.picture} onPicture={(avatar) => save({ avatar })}>
          <UserAvatar user={user} size={96} />
        </PictureButton>
        {person.avatar && (
          <Button kind="plain" onClick={() => void save({ avatar: "" })}>
            {w.noPicture}
          </Button>
        )}
      </div>
      <Input label={w.name} hint={w.nameHint} value={name} maxLength={LONGEST} autocomplete="name" onInput={setName} />
      <dl class="facts">
        <Fact name={w.user} value={`@${user}`} />
        <Fact name={w.workspace} value={who?.tenant ?? ""} />
      </dl>
      <Button kind="primary" type="submit" busy={busy} disabled={name.trim() === before || !name.trim()}>
        {w.save}
      </Button>
    </form>
  );
}

export function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd class="ellipsis" title={value}>
        {value}
      </dd>
    </div>
  );
}
