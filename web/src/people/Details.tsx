/** About a conversation: who is in it, how it is set, what was shared. */

import type { ComponentChildren } from "preact";
import type { InboxRow } from "@hongyan/sdk";
import { useRef, useState } from "preact/hooks";
import { askClear, askLeave, askRemark, askRemove, call, setOwn } from "../list/actions.js";
import {
  ADMIN, isGroup, me, nameOf, OWNER, panel, peerOf, rows, settingsOf, stateOf,
} from "../session/index.js";
import { askLine, confirm, EmptyState, Icon, IconButton, type IconName, Switch } from "../ui/index.js";
import { blocked, setBlocked } from "./blocks.js";
import { words } from "./detailWords.js";
import { ManageView } from "./Manage.js";
import { MediaView } from "./MediaView.js";
import { MembersView } from "./MembersView.js";
import { Notice } from "./Notice.js";
import { pendingOf } from "./Pending.js";
import { Profile } from "./Profile.js";
import "../list/list.css";
import "../find/find.css";
import "./people.css";
import "./details.css";

type View = "main" | "members" | "media" | "manage";

export function DetailsPanel({ log }: { log: string }) {
  const w = words();
  const [view, setView] = useState<View>("main");
  const row = rows.value.get(log);
  const head = useRef<HTMLHeadingElement>(null);
  const go = (to: View) => {
    setView(to);
    head.current?.focus(); // what was focused goes away with the view
  };
  const close = () => (panel.value = null);
  const title = { main: w.details, members: w.members, media: w.pictures, manage: w.manage }[view];
  return (
    <div
      class="details"
      onKeyDown={(e) => {
        if (e.key !== "Escape" || e.defaultPrevented || (e.target as Element).closest("dialog")) return;
        if (view === "main") close();
        else go("main");
      }}
    >
      <header class="side-head">
        {view !== "main" && <IconButton icon="back" label={w.back} onClick={() => go("main")} />}
        <h2 ref={head} tabIndex={-1} class={`ellipsis ${view === "main" ? "side-first" : ""}`}>{title}</h2>
        <IconButton icon="close" label={w.close} onClick={close} />
      </header>
      {!row ? (
        <EmptyState icon="info" title={w.gone} />
      ) : view === "members" ? (
        <MembersView row={row} />
      ) : view === "media" ? (
        <MediaView log={log} />
      ) : view === "manage" ? (
        <ManageView row={row} />
      ) : (
        <Main row={row} go={go} />
      )}
    </div>
  );
}

function Main({ row, go }: { row: InboxRow; go: (view: View) => void }) {
  const w = words();
  const alive = row.role > 0 && !stateOf(row).dissolved_at;
  const waiting = pendingOf(row).length;
  return (
    <div class="list-scroll">
      <Profile row={row} />
      {isGroup(row.log) && row.role > 0 && <Notice row={row} />}
      <section class="details-block">
        {isGroup(row.log) && row.role > 0 && (
          <Way icon="users" text={w.members} onClick={() => go("members")}>
            {waiting > 0 && <span class="details-badge">{w.pendingBadge(waiting)}</span>}
            <span class="details-n">{row.count}</span>
          </Way>
        )}
        <Way icon="image" text={w.pictures} onClick={() => go("media")} />
        {isGroup(row.log) && row.role >= ADMIN && alive && (
          <Way icon="settings" text={w.manage} onClick={() => go("manage")} />
        )}
      </section>
      <Mine row={row} />
      <Danger row={row} alive={alive} />
    </div>
  );
}

/** A line that leads to another view. */
function Way(props: { icon: IconName; text: string; onClick: () => void; children?: ComponentChildren }) {
  return (
    <button type="button" class="way" onClick={props.onClick}>
      <Icon name={props.icon} size={21} />
      <span class="way-text">{props.text}</span>
      {props.children}
      <Icon name="right" size={16} class="way-right" />
    </button>
  );
}

function Mine({ row }: { row: InboxRow }) {
  const w = words();
  const own = settingsOf(row);
  const toggle = (name: "mute" | "pinned" | "archived") => (on: boolean) =>
    void setOwn(row.log, { [name]: on ? true : null });
  const askNickname = async () => {
    const name = await askLine({ title: w.nickname, label: w.nickname, value: own.nickname ?? "", yes: w.save });
    if (name !== null) await setOwn(row.log, { nickname: name.trim() || null });
  };
  return (
    <section class="details-block details-pad" aria-label={w.mine}>
      <Switch label={w.muted} on={own.mute ?? false} onChange={toggle("mute")} />
      <Switch label={w.pinned} on={own.pinned ?? false} onChange={toggle("pinned")} />
      <Switch label={w.archived} on={own.archived ?? false} onChange={toggle("archived")} />
      <Value label={w.remark} value={own.remark} onClick={() => void askRemark(row)} />
      {isGroup(row.log) && row.role > 0 && (
        <Value label={w.nickname} value={own.nickname} onClick={() => void askNickname()} />
      )}
    </section>
  );
}

function Value(props: { label: string; value: string | undefined; onClick: () => void }) {
  return (
    <button type="button" class="value" onClick={props.onClick}>
      <span>{props.label}</span>
      <span class="value-now ellipsis">{props.value || words().none}</span>
      <Icon name="right" size={16} class="way-right" />
    </button>
  );
}

function Danger({ row, alive }: { row: InboxRow; alive: boolean }) {
  const w = words();
  const self = me.value?.user ?? "";
  const peer = peerOf(row.log, self);
  const isBlocked = blocked().has(peer);
  const block = async () => {
    const title = w.blockTitle(nameOf(peer));
    if (isBlocked) await setBlocked(peer, false);
    else if (await confirm({ title, text: w.blockText, yes: w.block, danger: true })) await setBlocked(peer, true);
  };
  const dissolve = async () => {
    const sure = await confirm({ title: w.dissolveTitle, text: w.dissolveText, yes: w.dissolve, danger: true });
    if (sure) await call("chat.dissolve", {}, row.log);
  };
  return (
    <section class="details-block">
      {alive || !isGroup(row.log) ? (
        <Grave icon="trash" text={w.clear} onClick={() => void askClear(row)} />
      ) : (
        <Grave icon="close" text={w.drop} onClick={() => void askRemove(row)} />
      )}
      {peer && peer !== self && (
        <Grave icon="block" text={isBlocked ? w.unblock : w.block} onClick={() => void block()} />
      )}
      {isGroup(row.log) && alive && <Grave icon="logout" text={w.leave} onClick={() => void askLeave(row)} />}
      {isGroup(row.log) && alive && row.role === OWNER && (
        <Grave icon="warn" text={w.dissolve} onClick={() => void dissolve()} />
      )}
    </section>
  );
}

function Grave(props: { icon: IconName; text: string; onClick: () => void }) {
  return (
    <button type="button" class="way way-grave" onClick={props.onClick}>
      <Icon name={props.icon} size={21} />
      <span class="way-text">{props.text}</span>
    </button>
  );
}
