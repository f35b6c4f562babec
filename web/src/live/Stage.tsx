/** The stage: a film or a colour, messages that fly over it, banners of gifts, hearts. */

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { IconButton } from "../ui/index.js";
import { Flyers } from "./flying.js";
import { shown, signOf } from "./gifts.js";
import { calledIn, Face } from "./names.js";
import { Player } from "./player.js";
import { Replay } from "./Replay.js";
import type { Room } from "./room.js";
import { words } from "./words.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const FLY = "hongyan.flying";
const BANNERS = 3;
const FEW_BANNERS = 2; // where the stage is small
const small = matchMedia("(max-width: 560px)");

export function Stage({ room, hearts }: { room: Room; hearts: (rise: () => void) => void }) {
  const w = words();
  const box = useRef<HTMLDivElement>(null);
  const flies = useSignal(localStorage.getItem(FLY) !== "off");
  const held = useSignal(false);
  const player = useMemo(() => new Player(), [room]);
  const [film, setFilm] = useState("");
  const replays = useSignal(false);
  const flyers = useRef<Flyers | null>(null);
  useEffect(() => {
    const made = new Flyers(box.current!, still.matches);
    flyers.current = made;
    hearts(() => made.hearts.rise());
    const off = room.hear((lines) => {
      if (!flies.peek()) return;
      for (const line of lines) {
        const own = line.from === room.me;
        // beside a recording only what oneself says to it
        if (line.kind === "said" && !line.held && (own || room.mediaMs() < 0)) made.put(line, own);
      }
    });
    return () => {
      off();
      made.close();
    };
  }, [room]);
  const likes = useComputed(() => Number(room.values.value.get("likes") ?? 0));
  const before = useRef(-1);
  useSignalEffect(() => {
    const total = likes.value;
    if (before.current >= 0 && total > before.current) flyers.current?.hearts.others(total - before.current);
    before.current = total;
  });
  useSignalEffect(() => {
    const newest = [...room.deleted.value].at(-1);
    if (newest) flyers.current?.drop(newest);
  });
  useSignalEffect(() => flyers.current?.pause(held.value || (replays.value && !player.playing.value)));
  useEffect(() => () => (film ? URL.revokeObjectURL(film) : undefined), [film]);
  const show = (url: string) => {
    setFilm(url);
    if (!url) player.follow(null);
    replays.value = Boolean(url);
  };
  const fly = (on: boolean) => {
    flies.value = on;
    localStorage.setItem(FLY, on ? "on" : "off");
    if (!on) flyers.current?.clear();
  };
  return (
    <section class="stage" aria-label={w.stage}>
      <Picture room={room} film={film} player={player} />
      <div ref={box} class="flyers" aria-hidden="true" />
      <Banners room={room} />
      <div class="stage-top">
        {room.recorded.value && !replays.value && (
          <IconButton
            icon="clock"
            label={w.replay}
            onClick={() => {
              player.follow(null);
              replays.value = true;
            }}
          />
        )}
        {!film && <FilmButton onFilm={show} />}
      </div>
      {replays.value && (
        <Replay room={room} player={player} flyers={() => flyers.current} film={Boolean(film)} onClose={() => show("")} />
      )}
      <div class="stage-bar">
        <IconButton icon="quote" label={w.flyOn} pressed={flies.value} onClick={() => fly(!flies.value)} />
        {flies.value && !replays.value && (
          <IconButton
            icon={held.value ? "play" : "pause"}
            label={held.value ? w.flyGo : w.flyPause}
            onClick={() => (held.value = !held.value)}
          />
        )}
      </div>
    </section>
  );
}

/** A film from this device, or the host on a coloured ground. */
function Picture({ room, film, player }: { room: Room; film: string; player: Player }) {
  const w = words();
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (film) player.follow(video.current);
  }, [film]);
  const host = room.host.value;
  if (film) return <video ref={video} class="stage-film" src={film} autoplay loop muted playsinline aria-label={w.stage} />;
  return (
    <div class="stage-ground">
      {host && <Face user={host} size={96} />}
      {host && <p class="stage-host">{calledIn(host)}</p>}
      <p class="stage-none">{w.noVideo}</p>
    </div>
  );
}

function FilmButton({ onFilm }: { onFilm: (url: string) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        accept="video/*"
        class="unseen"
        tabIndex={-1}
        aria-hidden="true"
        onChange={(e) => {
          const file = e.currentTarget.files?.[0];
          if (file) onFilm(URL.createObjectURL(file));
          e.currentTarget.value = "";
        }}
      />
      <IconButton icon="play" label={words().video} onClick={() => input.current?.click()} />
    </>
  );
}

function Banners({ room }: { room: Room }) {
  const w = words();
  const now = useSignal(Date.now());
  const all = room.banners.value;
  useEffect(() => {
    now.value = Date.now();
    const next = Math.min(...all.map((banner) => banner.until).filter((until) => until > Date.now()));
    if (next === Infinity) return undefined;
    const timer = setTimeout(() => (now.value = Date.now()), next - Date.now() + 20);
    return () => clearTimeout(timer);
  }, [all, now.value]);
  return (
    <div class="banners" aria-hidden="true">
      {shown(all, Math.max(now.value, Date.now()), small.matches ? FEW_BANNERS : BANNERS).map((banner) => (
        <div key={banner.id} class={`banner ${banner.value >= 100 ? "banner-dear" : ""}`}>
          <Face user={banner.from} size={32} />
          <span class="banner-words">
            <b class="ellipsis">{calledIn(banner.from)}</b>
            <span class="ellipsis">{giftName(banner.gift, banner.name)}</span>
          </span>
          <span class="banner-sign">{signOf(banner.gift)}</span>
          <span key={banner.count} class="banner-count">
            {w.combo(banner.count)}
          </span>
        </div>
      ))}
    </div>
  );
}

/** The name of a gift in the language shown, where this page knows it. */
export function giftName(gift: string, name: string): string {
  const known = (words() as unknown as Record<string, unknown>)[gift];
  return name || (typeof known === "string" ? known : gift);
}
