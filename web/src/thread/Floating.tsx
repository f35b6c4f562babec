/** The day of what is on top of the view, while it is scrolled. */

import { useEffect, useState } from "preact/hooks";
import { type Signal } from "@preact/signals";
import { dayName } from "../ui/index.js";

const STAYS = 1400; // ms after the last move

/** `day` changes (also to the same day, by a new object) with every move. */
export function FloatingDay({ day }: { day: Signal<{ day: number } | null> }) {
  const [seen, setSeen] = useState(false);
  const now = day.value;
  useEffect(() => {
    if (!now) return undefined;
    setSeen(true);
    const timer = setTimeout(() => setSeen(false), STAYS);
    return () => clearTimeout(timer);
  }, [now]);
  return (
    <span class={`float-day ${seen && now ? "float-day-on" : ""}`} aria-hidden="true">
      {now ? dayName(now.day) : ""}
    </span>
  );
}
