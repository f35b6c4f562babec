/** What an admin may do with a member. */

import type { InboxRow } from "@hongyan/sdk";
import { call } from "../list/actions.js";
import { ADMIN, me, MEMBER, nameOf, OWNER } from "../session/index.js";
import { confirm, type MenuItem, openMenu } from "../ui/index.js";
import { words } from "./detailWords.js";
import { startDirect } from "./finding.js";
import type { Member } from "./members.js";

const MINUTE = 60; // s
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How a member is called here. */
export function memberName(member: Member): string {
  return member.nickname || nameOf(member.user);
}

function askMute(member: Member, log: string, at: Element): void {
  const w = words();
  const times: [string, number][] = [
    [w.minutes10, 10 * MINUTE], [w.hour1, HOUR], [w.day1, DAY], [w.days7, 7 * DAY], [w.days30, 30 * DAY],
  ];
  openMenu({
    at,
    label: w.muteTitle(memberName(member)),
    items: times.map(([label, seconds]) => ({
      label,
      icon: "clock",
      run: () => void call("chat.mute", { user: member.user, seconds }, log),
    })),
  });
}

async function askTransfer(member: Member, log: string): Promise<void> {
  const w = words();
  const title = w.transferTitle(memberName(member));
  const sure = await confirm({ title, text: w.transferText, yes: w.transferDo, danger: true });
  if (sure) await call("chat.transfer", { user: member.user }, log);
}

async function askRemove(member: Member, log: string): Promise<void> {
  const w = words();
  const title = w.removeTitle(memberName(member));
  const sure = await confirm({ title, text: w.removeText, yes: w.removeDo, danger: true });
  if (sure) await call("chat.remove", { users: [member.user] }, log);
}

/** The menu of a member, by the role of who looks; [] where there is nothing to do. */
export function memberMenu(member: Member, row: InboxRow, at: Element): (MenuItem | "-")[] {
  if (member.user === me.value?.user) return [];
  const w = words();
  const { log, role } = row;
  const items: (MenuItem | "-")[] = [
    { label: w.message, icon: "compose", run: () => void startDirect(member.user) },
  ];
  const below = role >= ADMIN && role > member.role;
  if (role === OWNER) {
    items.push("-", {
      label: member.role === ADMIN ? w.makeMember : w.makeAdmin,
      icon: "shield",
      run: () =>
        void call("chat.set_role", { user: member.user, role: member.role === ADMIN ? "member" : "admin" }, log),
    });
    items.push({ label: w.transfer, icon: "crown", run: () => void askTransfer(member, log) });
  }
  if (below) {
    const muted = member.muted_until > Date.now();
    items.push("-", {
      label: muted ? w.unmuteMember : w.muteMember,
      icon: muted ? "mic" : "clock",
      run: () =>
        muted ? void call("chat.mute", { user: member.user, seconds: 0 }, log) : askMute(member, log, at),
    });
    items.push({ label: w.remove, icon: "logout", danger: true, run: () => void askRemove(member, log) });
  }
  return items;
}

/** Whether a person may invite: members, or only admins where the group says so. */
export function mayInvite(row: InboxRow): boolean {
  const { members_invite, join_mode, dissolved_at } = row.state as {
    members_invite?: boolean;
    join_mode?: string;
    dissolved_at?: number;
  };
  if (dissolved_at) return false;
  return row.role >= ((members_invite ?? true) && join_mode !== "approve" ? MEMBER : ADMIN);
}
