import { useRef } from "preact/hooks";

const LONG = 500; // ms
const MOVED = 10; // px: the person scrolls

/**
 * Calls `open` for a right click, the menu key, and a long press of a finger (some browsers have no
 * event for that). `pressed()` says once whether the click that follows ends such a press.
 */
export function usePress(open: (x: number, y: number) => void) {
  const now = useRef({ timer: 0, x: 0, y: 0, done: false });
  const stop = () => clearTimeout(now.current.timer);
  return {
    pressed: () => {
      const { done } = now.current;
      now.current.done = false;
      return done;
    },
    handlers: {
      onContextMenu: (e: MouseEvent) => {
        e.preventDefault();
        stop();
        if (now.current.done) return; // opened by the press already
        const box = (e.currentTarget as Element).getBoundingClientRect();
        const byKey = e.clientX === 0 && e.clientY === 0;
        open(byKey ? box.left + box.height : e.clientX, byKey ? box.top + box.height / 2 : e.clientY);
      },
      onPointerDown: (e: PointerEvent) => {
        stop();
        now.current.done = false;
        if (e.pointerType === "mouse") return;
        const { clientX: x, clientY: y } = e;
        const timer = window.setTimeout(() => {
          now.current.done = true;
          open(x, y);
        }, LONG);
        now.current = { timer, x, y, done: false };
      },
      onPointerMove: (e: PointerEvent) => {
        if (Math.hypot(e.clientX - now.current.x, e.clientY - now.current.y) > MOVED) stop();
      },
      onPointerUp: stop,
      onPointerCancel: stop,
    },
  };
}
