/** Who or what a conversation is: picture, name, presence, and what is done most. */

import type { InboxRow } from "@hongyan/sdk";
import { useState } from "preact/hooks";
import { DateDialog } from "../find/DateDialog.js";
import { call, setOwn } from "../list/actions.js";
import { PictureButton } from "../me/PictureButton.js";
import {
  ADMIN, ChatAvatar, forgetLink, isGroup, me, nameOf, panel, peerOf, presenceOf, settingsOf, stateOf, titleOf,
} from "../session/index.js";
import { askLine, Icon, IconButton, type IconName, shortWhen } from "../ui/index.js";
import { blocked } from "./blocks.js";
import { words } from "./detailWords.js";
import { InviteDialog } from "./Invite.js";
import { mayInvite } from "./memberActions.js";

const NOBODY: ReadonlySet<string> = new Set();

export function Profile({ row }: { row: InboxRow }) {
  const w = words();
  const [dates, setDates] = useState(false);
  const [inviting, setInviting] = useState(false);
  const state = stateOf(row);
  const own = settingsOf(row);
  const governs = isGroup(row.log) && row.role >= ADMIN && !state.dissolved_at;
  const setPicture = async (avatar: string) => {
    await call("chat.update", { avatar }, row.log);
    forgetLink({ log: row.log, avatar: true });
  };
  const rename = async () => {
    const title = await askLine({ title: w.title, label: w.title, value: state.title ?? "", yes: w.save, maxLength: 100 });
    if (title?.trim()) await call("chat.update", { title: title.trim() }, row.log);
  };
  return (
    <section class="profile">
      {governs ? (
        <PictureButton label={w.picture} onPicture={setPicture}>
          <ChatAvatar row={row} size={96} />
        </PictureButton>
      ) : (
        <ChatAvatar row={row} size={96} presence />
      )}
      <h3 class="profile-name">
        <span>{titleOf(row)}</span>
        {governs && <IconButton icon="edit" size={17} label={`${w.edit}: ${w.title}`} onClick={() => void rename()} />}
      </h3>
      <Below row={row} />
      <div class="profile-do">
        <Quick
          icon={own.mute ? "bell" : "bellOff"}
          text={own.mute ? w.unmute : w.mute}
          run={() => void setOwn(row.log, { mute: own.mute ? null : true })}
        />
        <Quick icon="search" text={w.search} run={() => (panel.value = "search")} />
        <Quick icon="calendar" text={w.date} run={() => setDates(true)} />
        {isGroup(row.log) && mayInvite(row) && (
          <Quick icon="userPlus" text={w.invite} run={() => setInviting(true)} />
        )}
      </div>
      {dates && <DateDialog log={row.log} onClose={() => setDates(false)} />}
      {inviting && <InviteDialog log={row.log} members={NOBODY} onClose={() => setInviting(false)} />}
    </section>
  );
}

function Quick({ icon, text, run }: { icon: IconName; text: string; run: () => void }) {
  return (
    <button type="button" class="quick" onClick={run}>
      <Icon name={icon} size={21} />
      <span>{text}</span>
    </button>
  );
}

function Below({ row }: { row: InboxRow }) {
  const w = words();
  if (isGroup(row.log)) {
    return <p class="details-quiet">{stateOf(row).dissolved_at ? w.dissolved : row.role ? w.count(row.count) : w.left}</p>;
  }
  const self = me.value?.user ?? "";
  const peer = peerOf(row.log, self);
  if (peer === self) return <p class="details-quiet">{w.notes}</p>;
  const { state, last_seen } = presenceOf(peer).value;
  const seen =
    state === "online" ? w.online : state === "away" ? w.away : last_seen ? w.lastSeen(shortWhen(last_seen)) : "";
  return (
    <p class="details-quiet">
      {settingsOf(row).remark && <span>{nameOf(peer)} · </span>}
      <span>@{peer}</span>
      {blocked().has(peer) && <span class="profile-blocked"> · {w.blocked}</span>}
      {seen && <span class={state === "online" ? "profile-online" : ""}> · {seen}</span>}
    </p>
  );
}
