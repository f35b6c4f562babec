/** What moderators have beside the list: what waits for them, the settings, the people. */

import { reasonOf, status } from "../session/index.js";
import { askLine, Button, Dialog, fullWhen, IconButton, Input, Select, Switch } from "../ui/index.js";
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { useLayer, overWindow } from "./layers.js";
import { attempt } from "./moderating.js";
import { calledIn, count, Who } from "./names.js";
import type { Room } from "./room.js";
import { words } from "./words.js";

const SLOW = ["0", "3", "5", "10", "30", "60", "120"] as const;
const RATES = ["5", "10", "20", "50", "100", "0"] as const;
const MODERATOR = 2;

/** Messages that wait for approval. */
export function Waiting({ room }: { room: Room }) {
  const w = words();
  const held = room.held.value;
  if (!held.length) return null;
  return (
    <section class="waiting" aria-label={w.waiting}>
      <h2>
        {w.waiting} · {held.length}
      </h2>
      <ul>
        {held.slice(0, 20).map((line) => (
          <li key={line.id}>
            <p>
              <Who user={line.from} /> {line.text}
            </p>
            <IconButton icon="check" size={18} label={w.approve} onClick={() => void attempt(room.approve(line), "")} />
            <IconButton icon="close" size={18} label={w.reject} onClick={() => room.reject(line)} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** How much comes in, by lane: the host is shown all of it. */
export function Traffic({ room }: { room: Room }) {
  const w = words();
  const now = useSignal(room.counts.at(Date.now()));
  useEffect(() => {
    const timer = setInterval(() => (now.value = room.counts.at(Date.now())), 1000);
    return () => clearInterval(timer);
  }, [room]);
  const { minute, second } = now.value;
  const { total } = room.gap.value;
  return (
    <dl class="traffic" aria-label={w.traffic}>
      {([
        ["high", w.laneHigh, count(minute.high)],
        ["normal", w.laneNormal, count(minute.normal)],
        ["low", w.laneLow, count(minute.low)],
        ["second", w.perSecond, count(second)],
        ["missed", w.leftOut, count(total)],
      ] as const).map(([key, name, n]) => (
        <div key={key} class={`traffic-${key}`}>
          <dt>{name}</dt>
          <dd>{n}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Manage({ room, onClose }: { room: Room; onClose: () => void }) {
  const w = words();
  const state = room.state.value;
  const told = room.told.value;
  useLayer(true, onClose);
  const set = (changes: Record<string, string | number | boolean>) => void attempt(room.order("room.update", changes), "");
  const ask = async (title: string, label: string, name: string, maxLength: number, value = "") => {
    const answer = askLine({ title, label, yes: w.save, maxLength, value });
    overWindow();
    const text = await answer;
    if (text?.trim()) await attempt(room.order(name, name === "room.update" ? { title: text.trim() } : { text: text.trim() }));
  };
  const off = status.value.state !== "open";
  return (
    <Dialog title={w.manage} onClose={onClose} class="manage">
      <div class="manage-quick">
        <Button icon="horn" onClick={() => void ask(w.announce, w.announceLabel, "room.announce", 1000)}>
          {w.announce}
        </Button>
        <Button icon="pin" onClick={() => void ask(w.pin, w.pinLabel, "room.pin", 200)}>
          {w.pin}
        </Button>
        <Button icon="edit" onClick={() => void ask(w.title, w.titleAsk, "room.update", 100, told.title)}>
          {w.title}
        </Button>
      </div>
      <h3>{w.settings}</h3>
      <Switch label={w.roomOpen} hint={w.roomOpenHint} on={told.open} disabled={off} onChange={(open) => set({ open })} />
      <Switch label={w.muteAll} on={told.muted_all} disabled={off} onChange={(on) => set({ muted_all: on })} />
      <Switch label={w.hold} on={Boolean(state.hold)} disabled={off} onChange={(hold) => set({ hold })} />
      <Switch label={w.guests} on={Boolean(state.guests)} disabled={off} onChange={(guests) => set({ guests })} />
      <Select
        label={w.slow}
        value={nearest(SLOW, told.slow_s)}
        options={SLOW.map((s) => [s, s === "0" ? w.slowOff : w.slowS(Number(s))] as const)}
        onChange={(s) => set({ slow_s: Number(s) })}
      />
      <Select
        label={w.rate}
        value={nearest(RATES, state.rate ?? 10)}
        options={RATES.map((n) => [n, n === "0" ? w.rateAll : n] as const)}
        onChange={(n) => set({ rate: Number(n) })}
      />
      <People room={room} />
    </Dialog>
  );
}

/** The choice that stands for a number, which others may have set to anything. */
function nearest<T extends string>(choices: readonly T[], n: number): T {
  return choices.find((choice) => Number(choice) === n) ?? choices.find((choice) => Number(choice) > n) ?? choices[0]!;
}

function People({ room }: { room: Room }) {
  const w = words();
  const { muted = {}, banned = {}, shadowed = [] } = room.state.value;
  const now = Date.now();
  const rows = (terms: Record<string, number>): [string, string][] =>
    Object.entries(terms)
      .filter(([, until]) => !until || until > now)
      .map(([user, until]) => [user, until ? w.until(fullWhen(until)) : w.forEver]);
  return (
    <>
      <Moderators room={room} />
      <Listed
        title={w.mutedList}
        rows={rows(muted)}
        undo={(user) => void attempt(room.order("room.mute", { user, seconds: 0 }), "")}
      />
      <Listed
        title={w.bannedList}
        rows={rows(banned)}
        undo={(user) => void attempt(room.order("room.unban", { user }), "")}
      />
      <Listed
        title={w.shadowList}
        rows={shadowed.map((user) => [user, ""])}
        undo={(user) => void attempt(room.shadow(user, false), "")}
      />
    </>
  );
}

function Listed(props: { title: string; rows: readonly [string, string][]; undo: (user: string) => void }) {
  const w = words();
  if (!props.rows.length) return null;
  return (
    <>
      <h3>{props.title}</h3>
      <ul class="manage-list">
        {props.rows.map(([user, note]) => (
          <li key={user}>
            <span class="ellipsis">{calledIn(user)}</span>
            <small class="ellipsis">{note}</small>
            <Button kind="plain" onClick={() => props.undo(user)}>
              {w.undo}
            </Button>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Only the host appoints; the members of a room are its moderators. */
function Moderators({ room }: { room: Room }) {
  const w = words();
  const users = useSignal<string[]>([]);
  const name = useSignal("");
  const error = useSignal("");
  const isHost = room.host.value === room.me;
  const load = async () => {
    try {
      const answer = await room.client.http(`/v1/logs/${room.log}/members`);
      if (!answer.ok) return;
      const { members } = (await answer.json()) as { members: { user: string; role: number }[] };
      users.value = members.filter(({ role }) => role === MODERATOR).map(({ user }) => user);
    } catch {
      // the list stays as it is
    }
  };
  useEffect(() => void load(), [room]);
  const appoint = async (user: string, on: boolean) => {
    error.value = "";
    try {
      await room.order("room.appoint", { user, on });
      name.value = "";
      await load();
    } catch (why) {
      error.value = reasonOf(why);
    }
  };
  return (
    <>
      <h3>{w.moderators}</h3>
      <ul class="manage-list">
        {users.value.map((user) => (
          <li key={user}>
            <span class="ellipsis">{calledIn(user)}</span>
            {isHost && (
              <Button kind="plain" onClick={() => void appoint(user, false)}>
                {w.appointNot}
              </Button>
            )}
          </li>
        ))}
      </ul>
      {isHost && (
        <form
          class="manage-appoint"
          onSubmit={(e) => {
            e.preventDefault();
            if (name.value.trim()) void appoint(name.value.trim(), true);
          }}
        >
          <Input
            label={w.appointLabel}
            value={name.value}
            error={error.value || undefined}
            onInput={(value) => (name.value = value)}
          />
          <Button type="submit" disabled={!name.value.trim()}>
            {w.appoint}
          </Button>
        </form>
      )}
    </>
  );
}
