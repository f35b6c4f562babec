/** A room: the stage, what is said, where one speaks; for moderators what they need. */

import type { Client } from "@hongyan/sdk";
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type HttpRefusal, me, reasonOf, rows } from "../session/index.js";
import { Button, duration, EmptyState, Icon, type IconName, IconButton, Spinner, toast } from "../ui/index.js";
import { Input } from "./Input.js";
import { List } from "./List.js";
import { useLayers } from "./layers.js";
import { Manage, Traffic, Waiting } from "./Manage.js";
import { attempt } from "./moderating.js";
import { calledIn, count } from "./names.js";
import { forget, remember } from "./recent.js";
import { Room } from "./room.js";
import { goLive, loginFirst } from "./route.js";
import { Stage } from "./Stage.js";
import { words } from "./words.js";

const ADMIN = 2;
const NO_LOG = 108;

export function RoomPage({ log, client, guest }: { log: string; client: Client; guest: boolean }) {
  const w = words();
  const moderates = useComputed(() => {
    const who = me.value;
    return !guest && Boolean(who?.admin || (rows.value.get(log)?.role ?? 0) >= ADMIN);
  });
  const room = useMemo(
    () => new Room(client, log, guest ? "" : (me.peek()?.user ?? ""), () => moderates.peek()),
    [client, log, guest],
  );
  useEffect(() => {
    void room.enter();
    return () => room.close();
  }, [room]);
  useSignalEffect(() => {
    const { title } = room.told.value;
    if (title && !guest) remember({ log, title });
    if (title) document.title = title;
  });
  if (room.phase.value === "joining") {
    return (
      <main class="live-wait">
        <Spinner size="l" label={w.joining} />
      </main>
    );
  }
  if (room.phase.value === "over") return <Over room={room} guest={guest} />;
  return <Inside room={room} guest={guest} moderates={moderates.value} />;
}

function Over({ room, guest }: { room: Room; guest: boolean }) {
  const w = words();
  const { code = 0, message = "", retryAfterMs = 0 } = (room.error.value ?? {}) as Partial<HttpRefusal>;
  const why =
    code === NO_LOG ? w.noRoom
    : message.startsWith("sent away") || message.startsWith("you were sent out") ? w.dismissed
    : message.includes("closed") ? w.closedGone
    : reasonOf(room.error.value);
  useEffect(() => {
    if (code === NO_LOG) forget(room.log);
  }, [room]);
  return (
    <main class="live-wait">
      <EmptyState icon={code === NO_LOG ? "search" : "block"} title={w.cannot}>
        <p>{why}</p>
        {why === w.dismissed && retryAfterMs > 0 && <p>{w.backIn(duration(retryAfterMs))}</p>}
        <p class="live-over">
          <Button onClick={() => void room.enter()}>{w.retry}</Button>
          <Button kind="primary" onClick={() => (guest ? (loginFirst.value = true) : goLive())}>
            {guest ? w.logIn : w.lobby}
          </Button>
        </p>
      </EmptyState>
    </main>
  );
}

function Inside({ room, guest, moderates }: { room: Room; guest: boolean; moderates: boolean }) {
  const w = words();
  const managing = useSignal(false);
  const rise = useRef<() => void>(() => {});
  useLayers();
  const { title, open } = room.told.value;
  return (
    <div class="room">
      <header class="room-head">
        <IconButton icon="back" label={guest ? w.logIn : w.leave} onClick={() => (guest ? (loginFirst.value = true) : goLive())} />
        <div class="room-title">
          <h1 class="ellipsis">{title || room.log.split("/").at(-1)}</h1>
          <p class="ellipsis">
            {open && <span class="room-live">{w.live}</span>}
            {room.host.value && calledIn(room.host.value)}
          </p>
        </div>
        <Chips room={room} />
        <IconButton
          icon="link"
          label={w.copy}
          onClick={() => void navigator.clipboard.writeText(location.href).then(() => toast(w.copied, { kind: "good" }))}
        />
        {moderates && <IconButton icon="shield" label={w.manage} onClick={() => (managing.value = true)} />}
      </header>
      <main class="room-main">
        <Stage room={room} hearts={(up) => (rise.current = up)} />
      </main>
      <aside class="room-side" aria-label={w.messages}>
        <p role="status" class={room.linked.value ? "unseen" : "room-note"}>
          {!room.linked.value && w.cutOff}
        </p>
        {!open && <p class="room-note">{moderates ? w.closed : w.closedGone}</p>}
        <Pinned room={room} moderates={moderates} />
        {moderates && <Traffic room={room} />}
        {moderates && <Waiting room={room} />}
        <List room={room} moderates={moderates} />
        <Gap room={room} />
        {guest ? (
          <div class="room-guest">
            <p>{w.guestOf}</p>
            <Button kind="primary" onClick={() => (loginFirst.value = true)}>
              {w.logIn}
            </Button>
          </div>
        ) : (
          <Input room={room} moderates={moderates} rise={() => rise.current()} />
        )}
      </aside>
      {managing.value && <Manage room={room} onClose={() => (managing.value = false)} />}
    </div>
  );
}

function Chips({ room }: { room: Room }) {
  const w = words();
  const values = room.values.value;
  const n = (key: string) => Number(values.get(key) ?? 0);
  const chips: [IconName, number, (n: string) => string][] = [
    ["eye", n("online"), w.online],
    ["heart", n("likes"), w.likes],
  ];
  if (values.has("visitors")) chips.push(["users", n("visitors"), w.visitors]);
  if (n("gifts")) chips.push(["gift", n("gifts"), w.gifts]);
  if (values.has("heat")) chips.push(["flame", n("heat"), w.heat]);
  return (
    <ul class="chips">
      {chips.map(([icon, value, name]) => (
        <li key={icon} class={`chip chip-${icon}`} title={name(count(value))}>
          <Icon name={icon} size={16} />
          <span aria-hidden="true">{count(value)}</span>
          <span class="unseen">{name(count(value))}</span>
        </li>
      ))}
    </ul>
  );
}

function Pinned({ room, moderates }: { room: Room; moderates: boolean }) {
  const w = words();
  const pinned = room.pinned.value;
  if (!pinned) return null;
  return (
    <div class="room-pin">
      <Icon name="pin" size={16} />
      <p>
        <span class="unseen">{w.pinned}: </span>
        {pinned.text}
      </p>
      {moderates && (
        <IconButton
          icon="close"
          size={16}
          label={w.unpin}
          onClick={() => void attempt(room.order("room.pin", { text: "" }), "")}
        />
      )}
    </div>
  );
}

/** That not everything is shown, and why. */
function Gap({ room }: { room: Room }) {
  const w = words();
  const { lately, total } = room.gap.value;
  if (!total) return null;
  const why: Record<string, (n: string) => string> = {
    sampled: w.gapSampled,
    shed: w.gapShed,
    slow: w.gapSlow,
    epoch: w.gapAway,
  };
  const parts = [...lately].map(([reason, n]) => (why[reason] ?? w.gap)(count(n)));
  return (
    <p class="room-gap" title={`${w.gapKept} ${w.gapTotal(count(total))}`}>
      <Icon name="info" size={15} />
      <span>{parts.join(" · ") || w.gapTotal(count(total))}</span>
    </p>
  );
}
