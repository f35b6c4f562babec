/** The recording on the stage: its clock, and what was said at its moments. */

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { duration, IconButton } from "../ui/index.js";
import type { Flyers } from "./flying.js";
import type { Player } from "./player.js";
import { endOf } from "./reel.js";
import type { Room } from "./room.js";
import { words } from "./words.js";

const LOOK_MS = 200; // between two looks at the clock
const AFTER_MS = 8_000; // the last message crosses

interface Props {
  room: Room;
  player: Player;
  flyers: () => Flyers | null;
  film: boolean;
  /** Back to what is live. */
  onClose: () => void;
}

/** Shown while a recording is watched; what it says flies over the stage. */
export function Replay({ room, player, flyers, film, onClose }: Props) {
  const w = words();
  const dragged = useSignal(-1);
  useEffect(() => {
    const reel = room.replay(true)!;
    room.mediaMs = () => player.now();
    const look = () => {
      const at = player.now();
      player.at.value = at;
      const { lines, jumped } = reel.due(at);
      if (jumped) flyers()?.clear();
      for (const line of lines) flyers()?.put(line, false);
    };
    flyers()?.clear();
    if (!film) {
      const first = async (from: number) => (await room.ask(from, Number.MAX_SAFE_INTEGER, undefined, 1)).items[0]?.media_ms;
      endOf(first).then(
        (end) => {
          player.length.value = end + AFTER_MS;
          player.play(true);
        },
        () => {}, // no network: the button does it once more
      );
    }
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => {
      clearInterval(timer);
      room.replay(false);
      room.mediaMs = () => -1;
      flyers()?.clear();
    };
  }, [room, player, film]);
  const playing = player.playing.value;
  const at = dragged.value < 0 ? player.at.value : dragged.value;
  const length = player.length.value;
  const times = `${duration(at)} / ${duration(length)}`;
  return (
    <div class="reel" role="group" aria-label={w.replay}>
      <IconButton icon={playing ? "pause" : "play"} label={playing ? w.reelPause : w.reelPlay} onClick={() => player.play(!playing)} />
      <input
        type="range"
        class="reel-at"
        aria-label={w.reelAt}
        aria-valuetext={times}
        min={0}
        max={Math.max(length, 1)}
        step={1000}
        value={at}
        onInput={(e) => (dragged.value = Number(e.currentTarget.value))}
        onChange={(e) => {
          player.seek(Number(e.currentTarget.value));
          dragged.value = -1;
        }}
      />
      <span class="reel-time" aria-hidden="true">
        {times}
      </span>
      {film && (
        <IconButton
          icon={player.silent.value ? "bellOff" : "bell"}
          label={w.reelSound}
          pressed={!player.silent.value}
          onClick={() => player.silence(!player.silent.value)}
        />
      )}
      <IconButton icon="close" label={w.reelOver} onClick={onClose} />
    </div>
  );
}
