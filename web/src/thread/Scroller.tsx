/**
 * A list of any length of which only what is near the view is drawn.
 *
 * Where the view is, is kept as an anchor (an item and its distance), not as a number of px: so
 * whatever is loaded, measured or grows above it, what is looked at keeps still. At the end the
 * view sticks to the end.
 */

import type { ComponentChildren } from "preact";
import { useEffect, useImperativeHandle, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Ref } from "preact";
import { type Anchor, Layout } from "./virtual.js";

export interface ScrollerHandle {
  toEnd: () => void;
  /** Bring an item into view; false when it is not in the list. */
  toKey: (key: string, where?: "start" | "middle" | "near") => boolean;
  /** The element of an item, when it is drawn. */
  element: (key: string) => HTMLElement | null;
  readonly atEnd: boolean;
}

export interface ScrollerProps<T extends { key: string }> {
  items: readonly T[];
  estimate: (item: T) => number;
  draw: (item: T) => ComponentChildren;
  /** Where to begin: at an item, else at the end. */
  startKey?: string | undefined;
  label: string;
  busy?: boolean;
  /** The end of the items is the end of all: stay there when more come. */
  follow: boolean;
  /** Near the beginning or the end: time to bring in more. */
  onNearTop: () => void;
  onNearEnd: () => void;
  /** The view moved or the items changed: the first item in view, and the last one. */
  onSeen: (firstKey: string, lastKey: string, atEnd: boolean) => void;
  onKeyDown?: (e: KeyboardEvent) => void;
  handle: Ref<ScrollerHandle>;
}

const SPARE = 700; // px drawn above and below the view
const NEAR = 900; // px from an end: ask for more
const AT_END = 32; // px from the end that still count as the end
const ROUNDS = 8; // measurements before the browser gets a frame
const SETTLE = 0.5; // px: smaller differences are rounding

interface Place {
  anchor: Anchor | null;
  stick: boolean;
  height: number;
  heights: Map<string, number>;
}

function heightAt<T extends { key: string }>(props: ScrollerProps<T>, n: number): number {
  const item = props.items[n];
  return item ? props.estimate(item) : 40;
}

export function Scroller<T extends { key: string }>(props: ScrollerProps<T>) {
  const { items } = props;
  const view = useRef<HTMLDivElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const [drawn, redraw] = useState(0);
  const place = useRef<Place>({ anchor: null, stick: !props.startKey && props.follow, height: 800, heights: new Map() }).current;
  const started = useRef(false);

  const keys = useMemo(() => items.map((i) => i.key), [items]);
  const layout = useMemo(
    () => new Layout(keys, place.heights, (n) => heightAt(props, n)),
    [keys, drawn],
  );
  if (!started.current && keys.length > 0) {
    started.current = true;
    if (props.startKey) place.anchor = { key: props.startKey, below: place.height * 0.2 };
  }
  if (!props.follow) place.stick = false;
  const most = Math.max(0, layout.total - place.height);
  const wanted = place.stick ? most : place.anchor ? layout.topFor(place.anchor) : null;
  const top = Math.max(0, Math.min(most, wanted ?? view.current?.scrollTop ?? most));
  const [from, to] = layout.range(top, place.height, SPARE);

  const latest = useRef({ layout, props, from, to });
  latest.current = { layout, props, from, to };

  const rounds = useRef(0); // measured and drawn again since the last frame

  // What is measured may change what is drawn, which is measured again. Should that not settle,
  // the browser gets a frame in between: a view that trembles can still be used.
  const again = () => {
    rounds.current += 1;
    if (rounds.current < ROUNDS) redraw((n) => n + 1);
    else if (rounds.current === ROUNDS) {
      requestAnimationFrame(() => {
        rounds.current = 0;
        redraw((n) => n + 1);
      });
    }
  };

  const measure = (): boolean => {
    let changed = false;
    for (const el of box.current?.children ?? []) {
      const key = (el as HTMLElement).dataset["key"];
      const height = el.getBoundingClientRect().height;
      if (key && height && Math.abs((place.heights.get(key) ?? -1) - height) > SETTLE) {
        place.heights.set(key, height);
        changed = true;
      }
    }
    return changed;
  };

  // Before the browser paints: measure what is new, and put the view where its anchor is.
  useLayoutEffect(() => {
    const el = view.current;
    if (!el) return;
    if (el.clientHeight && el.clientHeight !== place.height) {
      place.height = el.clientHeight;
      again();
    }
    if (measure()) again();
    else if (rounds.current < ROUNDS) rounds.current = 0;
    if (Math.abs(el.scrollTop - top) > SETTLE) el.scrollTop = top;
  });

  const look = () => {
    const el = view.current;
    if (!el) return;
    const { layout: now, props: given } = latest.current;
    const { scrollTop, clientHeight } = el;
    if (now.total <= clientHeight) place.stick = given.follow;
    if (scrollTop < NEAR) given.onNearTop();
    if (now.total - scrollTop - clientHeight < NEAR) given.onNearEnd();
    if (now.keys.length) {
      const n = now.at(scrollTop + clientHeight - 16);
      given.onSeen(now.keys[now.at(scrollTop + 8)] ?? "", now.keys[n] ?? "", place.stick);
    }
  };

  useEffect(look, [keys, drawn]);

  useEffect(() => {
    const el = view.current;
    if (!el) return;
    const onScroll = () => {
      const now = latest.current.layout;
      const { scrollTop, clientHeight } = el;
      place.stick = latest.current.props.follow && now.total - scrollTop - clientHeight <= AT_END;
      place.anchor = now.anchor(scrollTop, clientHeight);
      const [a, b] = now.range(scrollTop, clientHeight, SPARE / 2);
      if (a < latest.current.from || b > latest.current.to) redraw((n) => n + 1);
      look();
    };
    el.addEventListener("scroll", onScroll, { passive: true });
    // Pictures that load, words that change: move what is drawn at once, before it is painted;
    // which items are drawn is decided in the next frame.
    const grown = new ResizeObserver(() => {
      const resized = el.clientHeight !== place.height;
      if (!measure() && !resized) return;
      place.height = el.clientHeight || place.height;
      const { layout: old, props: given, from: first } = latest.current;
      const now = new Layout(old.keys, place.heights, (n) => heightAt(given, n));
      const room = box.current?.parentElement;
      if (room) room.style.height = `${now.total}px`;
      if (box.current) box.current.style.transform = `translateY(${now.tops[first] ?? 0}px)`;
      const to = place.stick ? now.total - place.height : place.anchor && now.topFor(place.anchor);
      if (to !== null && Math.abs(el.scrollTop - to) > SETTLE) el.scrollTop = to;
      latest.current = { ...latest.current, layout: now };
      requestAnimationFrame(() => redraw((n) => n + 1));
    });
    grown.observe(el);
    if (box.current) grown.observe(box.current);
    return () => {
      el.removeEventListener("scroll", onScroll);
      grown.disconnect();
    };
  }, []);

  const handle = useMemo<ScrollerHandle>(
    () => ({
      toEnd() {
        place.stick = true;
        redraw((n) => n + 1);
      },
      toKey(key, where = "middle") {
        const now = latest.current.layout;
        const n = now.indexOf(key);
        if (n < 0) return false;
        const itemTop = now.tops[n] ?? 0;
        const itemEnd = now.tops[n + 1] ?? itemTop;
        const scrollTop = view.current?.scrollTop ?? 0;
        let below: number;
        if (where === "near") {
          if (itemTop >= scrollTop && itemEnd <= scrollTop + place.height) return true;
          below = itemTop < scrollTop ? 12 : place.height - (itemEnd - itemTop) - 12;
        } else if (where === "start") below = 60;
        else below = Math.max(40, (place.height - (itemEnd - itemTop)) / 2);
        place.stick = false;
        place.anchor = { key, below };
        redraw((count) => count + 1);
        return true;
      },
      element: (key) =>
        box.current?.querySelector<HTMLElement>(`:scope > [data-key="${CSS.escape(key)}"]`) ?? null,
      get atEnd() {
        return place.stick;
      },
    }),
    [],
  );
  useImperativeHandle(props.handle, () => handle, []);

  return (
    <div
      ref={view}
      class="scroller"
      role="feed"
      aria-label={props.label}
      aria-busy={props.busy}
      tabIndex={0}
      onKeyDown={props.onKeyDown}
    >
      <div class="scroller-room" style={{ height: `${layout.total}px` }}>
        <div ref={box} class="scroller-box" style={{ transform: `translateY(${layout.tops[from] ?? 0}px)` }}>
          {items.slice(from, to).map((item) => (
            <div key={item.key} data-key={item.key} class="feed-row">
              {props.draw(item)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}
