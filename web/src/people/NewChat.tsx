/** Begin a conversation: with a person, as a new group, or by a link. */

import { useState } from "preact/hooks";
import { tried } from "../login/tried.js";
import { client, openChat, overlay, type Person } from "../session/index.js";
import { Button, Dialog, Icon, IconButton, type IconName, Input, Select, Switch } from "../ui/index.js";
import { arrows } from "../find/arrows.js";
import { contacts, startDirect, usePeople } from "./finding.js";
import { JoinForm } from "./Join.js";
import { newChatMode } from "./newChatAs.js";
import { PeopleList, PeoplePicker } from "./PeoplePicker.js";
import { type JoinMode, joinModes, words } from "./words.js";
import "../find/find.css";
import "./people.css";

const close = () => (overlay.value = null);

export function NewChatDialog() {
  const mode = newChatMode.value;
  if (mode === "group") return <NewGroup />;
  if (mode === "join") {
    return (
      <Dialog title={words().join} size="s" lead={<Back to="chat" />} onClose={close}>
        <JoinForm done={close} />
      </Dialog>
    );
  }
  return <NewDirect />;
}

function Back({ to, run }: { to?: "chat"; run?: () => void }) {
  return (
    <IconButton
      icon="back"
      label={words().back}
      onClick={() => (run ? run() : (newChatMode.value = to ?? "chat"))}
    />
  );
}

function NewDirect() {
  const w = words();
  const [text, setText] = useState("");
  const people = usePeople(text);
  const searching = text.trim() !== "";
  return (
    <Dialog title={w.newChat} class="dialog-flush" onClose={close}>
      <div class="dialog-pad">
        <Input
          quiet
          label={w.find}
          placeholder={w.find}
          type="search"
          autofocus
          value={text}
          onInput={setText}
          onKeyDown={(e) => {
            const first = people.found[0];
            if (e.key === "Enter" && !e.isComposing && !people.busy && first) {
              e.preventDefault();
              void startDirect(first.user, close);
            } else arrows(e, (e.currentTarget as Element).closest("dialog"));
          }}
        />
      </div>
      {!searching && (
        <div>
          <Entry icon="users" text={w.newGroup} run={() => (newChatMode.value = "group")} />
          <Entry icon="link" text={w.join} run={() => (newChatMode.value = "join")} />
        </div>
      )}
      <PeopleList
        people={searching ? people.found : contacts()}
        query={text}
        busy={people.busy}
        error={people.error}
        pick={(person) => void startDirect(person.user, close)}
      />
    </Dialog>
  );
}

function Entry({ icon, text, run }: { icon: IconName; text: string; run: () => void }) {
  return (
    <button type="button" class="hit hit-one" onClick={run}>
      <span class="hit-icon">
        <Icon name={icon} size={20} />
      </span>
      <span class="hit-title">{text}</span>
    </button>
  );
}

function NewGroup() {
  const w = words();
  const [chosen, setChosen] = useState<Person[]>([]);
  const [step, setStep] = useState<"people" | "group">("people");
  if (step === "group") return <GroupForm chosen={chosen} back={() => setStep("people")} />;
  return (
    <Dialog
      title={w.newGroup}
      class="dialog-flush"
      lead={<Back to="chat" />}
      onClose={close}
      actions={
        <Button kind="primary" onClick={() => setStep("group")}>
          {w.next}
        </Button>
      }
    >
      <PeoplePicker chosen={chosen} onChange={setChosen} />
    </Dialog>
  );
}

function GroupForm({ chosen, back }: { chosen: readonly Person[]; back: () => void }) {
  const w = words();
  const [title, setTitle] = useState("");
  const [wrong, setWrong] = useState("");
  const [mode, setMode] = useState<JoinMode>("invite");
  const [invite, setInvite] = useState(true);
  const [history, setHistory] = useState(false);
  const [busy, setBusy] = useState(false);
  const create = async () => {
    if (!title.trim()) return setWrong(w.needTitle);
    setBusy(true);
    let log = "";
    const made = client().call("chat.create", {
      title: title.trim(),
      members: chosen.map((p) => p.user),
      join_mode: mode,
      members_invite: invite,
      history_visible: history,
    });
    if (await tried(made.then((ack) => (log = ack.log)))) {
      close();
      openChat(log);
    } else setBusy(false);
  };
  return (
    <Dialog title={w.newGroup} lead={<Back run={back} />} onClose={close}>
      <form
        class="form"
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          void create();
        }}
      >
        <Input
          label={w.title}
          value={title}
          maxLength={100}
          autofocus
          error={wrong}
          hint={w.others(chosen.length)}
          onInput={(value) => {
            setTitle(value);
            setWrong("");
          }}
        />
        <div>
          <Select label={w.joinMode} value={mode} options={joinModes()} onChange={setMode} />
          <Switch label={w.membersInvite} on={invite} onChange={setInvite} />
          <Switch label={w.history} on={history} onChange={setHistory} />
        </div>
        <Button kind="primary" type="submit" wide busy={busy}>
          {w.create}
        </Button>
      </form>
    </Dialog>
  );
}
