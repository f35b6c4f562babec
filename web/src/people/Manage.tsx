/** Settings of a group, for its admins. */

import type { InboxRow } from "@hongyan/sdk";
import { call } from "../list/actions.js";
import { OWNER, stateOf } from "../session/index.js";
import { askLine, Button, confirm, Select, Switch, toast } from "../ui/index.js";
import { words } from "./detailWords.js";
import { invitationLink } from "./invitation.js";
import { joinModes } from "./words.js";

export function ManageView({ row }: { row: InboxRow }) {
  const w = words();
  const state = stateOf(row);
  const update = (change: { [key: string]: string | number | boolean }) => void call("chat.update", change, row.log);
  const askSize = async () => {
    const given = await askLine({ title: w.size, label: w.sizeHint, value: String(state.max_members ?? 0), yes: w.save });
    if (given !== null && /^\d{1,6}$/.test(given.trim())) update({ max_members: Number(given) });
  };
  return (
    <div class="list-scroll">
      <div class="details-pad">
        <Select
          label={w.joinMode}
          value={state.join_mode ?? "invite"}
          options={joinModes()}
          onChange={(join_mode) => update({ join_mode })}
        />
        <Switch
          label={w.membersInvite}
          on={state.members_invite ?? true}
          onChange={(members_invite) => update({ members_invite })}
        />
        <Switch
          label={w.muteAll}
          on={state.mute_all ?? false}
          onChange={(on) => void call("chat.mute_all", { on }, row.log)}
        />
        {row.role === OWNER && (
          <>
            <Switch
              label={w.history}
              on={state.history_visible ?? false}
              onChange={(history_visible) => update({ history_visible })}
            />
            <div class="details-line">
              <span>
                {w.size}: {state.max_members || w.noLimit}
              </span>
              <Button class="btn-s" onClick={() => void askSize()}>
                {w.edit}
              </Button>
            </div>
          </>
        )}
      </div>
      <InviteLink row={row} />
    </div>
  );
}

async function copy(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
  toast(words().copied, { kind: "good" });
}

function InviteLink({ row }: { row: InboxRow }) {
  const w = words();
  const { link = "", join_mode = "invite" } = stateOf(row);
  const open = join_mode === "open" || join_mode === "approve";
  const shown = link || open;
  const address = invitationLink(location.origin, { log: row.log, token: open ? "" : link });
  const renew = async () => {
    const sure = await confirm({ title: w.renewTitle, text: w.renewText, yes: w.renew, danger: true });
    if (sure) await call("chat.link", { renew: true }, row.log);
  };
  return (
    <section class="details-pad details-block">
      <h3 class="details-head">{open ? w.groupId : w.link}</h3>
      {join_mode === "link" && (
        <Switch label={w.linkOn} on={Boolean(link)} onChange={(on) => void call("chat.link", { on }, row.log)} />
      )}
      {join_mode === "invite" && <p class="details-quiet">{w.linkOff}</p>}
      {shown && join_mode !== "invite" && (
        <>
          <p class="details-code">{address}</p>
          <div class="details-buttons">
            <Button kind="primary" icon="copy" onClick={() => void copy(address)}>
              {w.copy}
            </Button>
            {join_mode === "link" && (
              <Button icon="retry" onClick={() => void renew()}>
                {w.renew}
              </Button>
            )}
          </div>
        </>
      )}
    </section>
  );
}
