/** The stage: a film or a colour, messages that fly over it, banners of gifts, hearts. */

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { UserAvatar } from "../session/index.js";
import { IconButton } from "../ui/index.js";
import { Flyers } from "./flying.js";
import { shown, signOf } from "./gifts.js";
import { Hearts } from "./hearts.js";
import { calledIn } from "./names.js";
import type { Room } from "./room.js";
import { words } from "./words.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const FLY = "hongyan.flying";
const BANNERS = 3;

export function Stage({ room, hearts }: { room: Room; hearts: (rise: () => void) => void }) {
  const w = words();
  const box = useRef<HTMLDivElement>(null);
  const flies = useSignal(localStorage.getItem(FLY) !== "off");
  const held = useSignal(false);
  const flyers = useRef<Flyers | null>(null);
  useEffect(() => {
    const made = new Flyers(box.current!, still.matches);
    flyers.current = made;
    const off = room.hear((lines) => {
      if (!flies.peek()) return;
      for (const line of lines) {
        if (line.kind === "said" && !line.held) made.put(line, line.from === room.me);
      }
    });
    return () => {
      off();
      made.close();
    };
  }, [room]);
  useSignalEffect(() => {
    const newest = [...room.deleted.value].at(-1);
    if (newest) flyers.current?.drop(newest);
  });
  useSignalEffect(() => flyers.current?.pause(held.value));
  const fly = (on: boolean) => {
    flies.value = on;
    localStorage.setItem(FLY, on ? "on" : "off");
    if (!on) flyers.current?.clear();
  };
  return (
    <section class="stage" aria-label={w.stage}>
      <Picture room={room} />
      <div ref={box} class="flyers" aria-hidden="true" />
      <Banners room={room} />
      <Rising room={room} hearts={hearts} />
      <div class="stage-bar">
        <IconButton icon="quote" label={w.flyOn} pressed={flies.value} onClick={() => fly(!flies.value)} />
        {flies.value && (
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
function Picture({ room }: { room: Room }) {
  const w = words();
  const [url, setUrl] = useState("");
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => () => (url ? URL.revokeObjectURL(url) : undefined), [url]);
  const host = room.host.value;
  return (
    <>
      {url ? (
        <video class="stage-film" src={url} autoplay loop muted playsinline controls aria-label={w.stage} />
      ) : (
        <div class="stage-ground">
          {host && <UserAvatar user={host} size={96} />}
          {host && <p class="stage-host">{calledIn(host)}</p>}
          <p class="stage-none">{w.noVideo}</p>
        </div>
      )}
      <input
        ref={input}
        type="file"
        accept="video/*"
        class="unseen"
        tabIndex={-1}
        aria-hidden="true"
        onChange={(e) => {
          const file = e.currentTarget.files?.[0];
          if (file) setUrl(URL.createObjectURL(file));
          e.currentTarget.value = "";
        }}
      />
      <div class="stage-film-button">
        <IconButton
          icon={url ? "close" : "play"}
          label={url ? w.videoOff : w.video}
          onClick={() => (url ? setUrl("") : input.current?.click())}
        />
      </div>
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
      {shown(all, Math.max(now.value, Date.now()), BANNERS).map((banner) => (
        <div key={banner.id} class={`banner ${banner.value >= 100 ? "banner-dear" : ""}`}>
          <UserAvatar user={banner.from} size={32} />
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

/** One heart for each like, as far as there is room. */
function Rising({ room, hearts }: { room: Room; hearts: (rise: () => void) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const up = useRef<Hearts | null>(null);
  const before = useRef(-1);
  const likes = useComputed(() => Number(room.values.value.get("likes") ?? 0));
  useEffect(() => {
    const made = new Hearts(box.current!, still.matches);
    up.current = made;
    hearts(() => made.rise());
    return () => made.close();
  }, [room]);
  useSignalEffect(() => {
    const total = likes.value;
    if (before.current >= 0 && total > before.current) up.current?.others(total - before.current);
    before.current = total;
  });
  return <div ref={box} class="hearts" aria-hidden="true" />;
}

