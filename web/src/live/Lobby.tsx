/** Rooms to watch, and a new one of one's own. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { client, me, reasonOf, rows, stateOf } from "../session/index.js";
import { Button, EmptyState, hue, Icon, IconButton, Input, Switch } from "../ui/index.js";
import { recentRooms } from "./recent.js";
import { addressOfRoom, goLive, logOf } from "./route.js";
import { words } from "./words.js";

interface Listed {
  log: string;
  title: string;
  role: number;
}

export function Lobby() {
  const w = words();
  useEffect(() => {
    document.title = w.lobby;
  }, [w]);
  const own: Listed[] = [...rows.value.values()]
    .filter(({ log, role }) => log.split("/")[1] === "r" && role > 0)
    .map((row) => ({ log: row.log, title: stateOf(row).title ?? row.log, role: row.role }));
  const seen: Listed[] = recentRooms()
    .filter(({ log }) => !own.some((room) => room.log === log))
    .map((room) => ({ ...room, role: 0 }));
  return (
    <div class="lobby">
      <header class="room-head">
        <IconButton icon="back" label={w.back} onClick={() => (location.hash = "#/")} />
        <div class="room-title">
          <h1>{w.lobby}</h1>
        </div>
      </header>
      <main class="lobby-main">
        <div class="lobby-rooms">
          <Rooms title={w.yours} rooms={own} />
          <Rooms title={w.recent} rooms={seen} />
          {!own.length && !seen.length && (
            <EmptyState icon="live" title={w.noneTitle}>
              {w.noneMore}
            </EmptyState>
          )}
        </div>
        <div class="lobby-forms">
          <Open />
          <Create />
        </div>
      </main>
    </div>
  );
}

function Rooms({ title, rooms }: { title: string; rooms: readonly Listed[] }) {
  const w = words();
  if (!rooms.length) return null;
  return (
    <section>
      <h2>{title}</h2>
      <ul class="cards">
        {rooms.map((room) => (
          <li key={room.log}>
            <a class="card" href={addressOfRoom(room.log)}>
              <span class={`card-cover card-cover-${hue(room.log)}`} aria-hidden="true">
                <Icon name="live" size={34} />
              </span>
              <span class="card-title ellipsis">{room.title}</span>
              <span class="card-more ellipsis">
                {room.role === 3 ? w.host : room.role === 2 ? w.moderator : room.log.split("/").at(-1)}
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Open() {
  const w = words();
  const name = useSignal("");
  const bad = useSignal(false);
  return (
    <form
      class="lobby-form"
      onSubmit={(e) => {
        e.preventDefault();
        const log = logOf(name.value, me.value?.tenant ?? "main");
        bad.value = !log;
        if (log) goLive(log);
      }}
    >
      <h2>{w.open}</h2>
      <Input
        label={w.openLabel}
        value={name.value}
        hint={w.openHint}
        error={bad.value ? w.openBad : undefined}
        onInput={(value) => {
          name.value = value;
          bad.value = false;
        }}
      />
      <Button type="submit" kind="primary" disabled={!name.value.trim()}>
        {w.watch}
      </Button>
    </form>
  );
}

function Create() {
  const w = words();
  const title = useSignal("");
  const name = useSignal("");
  const guests = useSignal(false);
  const error = useSignal("");
  const busy = useSignal(false);
  const create = async () => {
    busy.value = true;
    error.value = "";
    try {
      const args = { title: title.value.trim(), guests: guests.value, ...(name.value && { name: name.value.trim() }) };
      const { log } = await client().call("room.create", args);
      goLive(log);
    } catch (why) {
      error.value = reasonOf(why);
    } finally {
      busy.value = false;
    }
  };
  return (
    <form
      class="lobby-form"
      onSubmit={(e) => {
        e.preventDefault();
        void create();
      }}
    >
      <h2>{w.create}</h2>
      <Input label={w.createTitle} value={title.value} maxLength={100} onInput={(value) => (title.value = value)} />
      <Input
        label={w.createName}
        value={name.value}
        hint={w.createNameHint}
        error={error.value || undefined}
        maxLength={64}
        onInput={(value) => (name.value = value.replace(/[^A-Za-z0-9_-]/g, "-"))}
      />
      <Switch label={w.createGuests} on={guests.value} onChange={(on) => (guests.value = on)} />
      <Button type="submit" kind="primary" disabled={!title.value.trim()} busy={busy.value}>
        {w.createGo}
      </Button>
    </form>
  );
}
