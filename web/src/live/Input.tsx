/** Where one speaks, likes and gives. */

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { reasonOf } from "../session/index.js";
import { duration, Icon, IconButton, toast } from "../ui/index.js";
import { CATALOGUE } from "./gifts.js";
import { useLayer } from "./layers.js";
import { attempt } from "./moderating.js";
import type { Position, Room } from "./room.js";
import { giftName } from "./Stage.js";
import { words } from "./words.js";

const MOST = 200; // characters
const UNWANTED = 211; // code

/** Colours that can be read on the stage and on a film. */
const COLOURS = ["#ffffff", "#ff8787", "#ffa94d", "#ffe066", "#8ce99a", "#66d9e8", "#b197fc", "#faa2c1"] as const;

export function Input({ room, moderates, rise }: { room: Room; moderates: boolean; rise: () => void }) {
  const w = words();
  const text = useSignal("");
  const look = useSignal<{ color: string; position: Position; open: boolean }>({ color: "", position: "scroll", open: false });
  const busy = useSignal(false);
  const gifts = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  const { muted_all: mutedAll, slow_s: slowS, open } = room.told.value;
  const left = room.left.value;
  const silent = (mutedAll || !open) && !moderates;
  const waits = room.muted.value ? w.sayMuted : slowS && !moderates ? w.saySlow : w.sayBlocked;
  const note = silent ? (open ? w.sayMutedAll : w.closedGone) : left ? waits(inWords(left)) : "";
  useLayer(look.value.open, () => (look.value = { ...look.peek(), open: false }));
  useLayer(gifts.value, () => (gifts.value = false));
  const send = async () => {
    const said = text.value.trim();
    if (!said || busy.value || left || silent) return;
    busy.value = true;
    try {
      await room.say(said, look.value.color, look.value.position);
      text.value = "";
      if (room.state.peek().hold && !moderates) toast(w.sayHeld);
    } catch (error) {
      const unwanted = (error as { code?: number }).code === UNWANTED;
      if (!room.left.peek()) toast(unwanted ? w.sayUnwanted : reasonOf(error), { kind: "bad" });
    } finally {
      busy.value = false;
      field.current?.focus();
    }
  };
  return (
    <div class="speak">
      {look.value.open && <Looks look={look} />}
      {gifts.value && room.gives.value && <Gifts room={room} />}
      <form
        class="speak-form"
        onSubmit={(e) => {
          e.preventDefault();
          void send();
        }}
      >
        <IconButton
          icon="edit"
          label={w.colour}
          expanded={look.value.open}
          onClick={() => (look.value = { ...look.value, open: !look.value.open })}
        />
        <div class="speak-field">
          <input
            ref={field}
            class="input"
            aria-label={w.sayLabel}
            aria-describedby="speak-note"
            placeholder={note || (room.linked.value ? w.say : w.sayOffline)}
            maxLength={MOST}
            autocomplete="off"
            enterkeyhint="send"
            disabled={silent}
            value={text.value}
            onInput={(e) => (text.value = e.currentTarget.value)}
            onKeyDown={(e) => {
              if (e.key === "Enter" && e.isComposing) e.preventDefault(); // the word is not chosen yet
            }}
          />
        </div>
        <button type="submit" class="speak-send" disabled={!text.value.trim() || Boolean(left) || silent || busy.value}>
          {left ? <span class="speak-left">{inWords(left)}</span> : <Icon name="send" size={20} />}
          <span class="unseen">{w.send}</span>
        </button>
      </form>
      <p id="speak-note" class={note || (slowS && !moderates) ? "speak-note" : "unseen"}>
        {note || (slowS && !moderates ? w.slowHint(slowS) : "")}
      </p>
      <div class="speak-more">
        {room.gives.value && (
          <button
            type="button"
            class="like"
            aria-expanded={gifts.value}
            disabled={!open && !moderates}
            onClick={() => (gifts.value = !gifts.value)}
          >
            <Icon name="gift" size={20} />
            <span>{w.gift}</span>
          </button>
        )}
        <button
          type="button"
          class="like"
          disabled={!open && !moderates}
          onClick={() => {
            room.like();
            rise();
          }}
        >
          <Icon name="heart" size={20} />
          <span>{w.like}</span>
        </button>
      </div>
    </div>
  );
}

/** 9 s, or 1:30. */
function inWords(seconds: number): string {
  return seconds < 60 ? words().slowS(seconds) : duration(seconds * 1000);
}

function Looks({ look }: { look: { value: { color: string; position: Position; open: boolean } } }) {
  const w = words();
  const places: [Position, string][] = [["scroll", w.placeScroll], ["top", w.placeTop], ["bottom", w.placeBottom]];
  return (
    <div class="looks">
      <fieldset>
        <legend>{w.colourName}</legend>
        {COLOURS.map((color, n) => (
          <label key={color} class={`look-colour look-colour-${n}`}>
            <input
              type="radio"
              name="look-colour"
              checked={(look.value.color || COLOURS[0]) === color}
              onChange={() => (look.value = { ...look.value, color: n ? color : "" })}
            />
            <span class="unseen">{color}</span>
          </label>
        ))}
      </fieldset>
      <fieldset>
        <legend>{w.place}</legend>
        {places.map(([position, name]) => (
          <label key={position} class="look-place">
            <input
              type="radio"
              name="look-place"
              checked={look.value.position === position}
              onChange={() => (look.value = { ...look.value, position })}
            />
            <span>{name}</span>
          </label>
        ))}
      </fieldset>
    </div>
  );
}

function Gifts({ room }: { room: Room }) {
  const w = words();
  const give = (key: string, value: number) => void attempt(room.give(key, value), "");
  return (
    <div class="gifts" role="group" aria-label={w.gift}>
      {CATALOGUE.map(({ key, sign, value }) => (
        <button
          key={key}
          type="button"
          class="gift"
          onClick={() => give(key, value)}
        >
          <span class="unseen">{w.give} </span>
          <span class="gift-sign" aria-hidden="true">
            {sign}
          </span>
          <span>{giftName(key, "")} </span>
          <small>{value}</small>
        </button>
      ))}
      <p class="gifts-note">{w.giftFree}</p>
    </div>
  );
}
