/** Members of a group with what an admin may do with them. */

import type { InboxRow } from "@hongyan/sdk";
import { useState } from "preact/hooks";
import { folded } from "../find/matching.js";
import { ADMIN, OWNER, personOf } from "../session/index.js";
import { Button, fullWhen, Icon, IconButton, Input, openMenu, Spinner } from "../ui/index.js";
import { words } from "./detailWords.js";
import { InviteDialog } from "./Invite.js";
import { mayInvite, memberMenu, memberName } from "./memberActions.js";
import { type Member, useMembers } from "./members.js";
import { PendingList } from "./Pending.js";
import { PersonRow } from "./PersonRow.js";

export function MembersView({ row }: { row: InboxRow }) {
  const w = words();
  const [members, more] = useMembers(row.log);
  const [text, setText] = useState("");
  const [inviting, setInviting] = useState(false);
  const wanted = folded(text.trim());
  const shown = wanted
    ? members.list.filter((m) => folded(`${memberName(m)}\n${personOf(m.user).value.name}\n${m.user}`).includes(wanted))
    : members.list;
  return (
    <div class="list-scroll">
      <PendingList row={row} />
      <div class="details-pad">
        <Input
          quiet
          type="search"
          label={w.findMember}
          placeholder={w.findMember}
          value={text}
          onInput={(value) => {
            setText(value);
            more(true); // one can only find who is known
          }}
        />
      </div>
      {mayInvite(row) && !wanted && (
        <button type="button" class="hit hit-one" onClick={() => setInviting(true)}>
          <span class="hit-icon">
            <Icon name="userPlus" size={20} />
          </span>
          <span class="hit-title">{w.invite}</span>
        </button>
      )}
      {members.error && (
        <p class="found-note" role="alert">
          {members.error}
        </p>
      )}
      <ul aria-label={w.members} aria-busy={members.busy}>
        {shown.map((member) => (
          <MemberRow key={member.user} member={member} row={row} query={text} />
        ))}
      </ul>
      {members.busy && (
        <div class="found-note">
          <Spinner size="s" />
        </div>
      )}
      {!members.busy && wanted && shown.length === 0 && <p class="found-note">{w.noMember}</p>}
      {members.more && !members.busy && !wanted && (
        <div class="found-note">
          <Button onClick={() => more()}>{w.more}</Button>
        </div>
      )}
      {inviting && (
        <InviteDialog
          log={row.log}
          members={new Set(members.list.map((m) => m.user))}
          onClose={() => setInviting(false)}
        />
      )}
    </div>
  );
}

function MemberRow({ member, row, query }: { member: Member; row: InboxRow; query: string }) {
  const w = words();
  const name = memberName(member);
  const muted = member.muted_until > Date.now();
  const open = (at: Element) => openMenu({ at, items: memberMenu(member, row, at), label: w.menuOf(name) });
  const has = memberMenu(member, row, document.body).length > 0;
  return (
    <PersonRow person={{ ...personOf(member.user).value, user: member.user, name }} query={query}>
      {muted && (
        <span class="member-muted" title={w.mutedUntil(fullWhen(member.muted_until))}>
          <Icon name="clock" size={16} />
          <span class="unseen">{w.isMuted}</span>
        </span>
      )}
      {member.role >= ADMIN && (
        <span class={`member-role ${member.role === OWNER ? "member-owner" : ""}`}>
          {member.role === OWNER ? w.owner : w.admin}
        </span>
      )}
      {has ? (
        <IconButton icon="more" label={w.menuOf(name)} size={20} onClick={(e) => open(e.currentTarget as Element)} />
      ) : (
        <span class="member-none" />
      )}
    </PersonRow>
  );
}
