import type { RefObject } from "preact";
import { useRef } from "preact/hooks";

/**
 * Close a `<dialog>` by a click beside it. Only a press that began there counts: not the end of
 * the long press that opened it, and not a selection of words that was drawn too far.
 */
export function useBackdrop(ref: RefObject<HTMLDialogElement | null>, close: () => void) {
  const began = useRef(false);
  const beside = (e: MouseEvent) => {
    const box = ref.current;
    if (!box || e.target !== box) return false;
    const { left, right, top, bottom } = box.getBoundingClientRect();
    return e.clientX < left || e.clientX > right || e.clientY < top || e.clientY > bottom;
  };
  return {
    onPointerDown: (e: PointerEvent) => {
      began.current = beside(e);
    },
    onClick: (e: MouseEvent) => {
      if (began.current && beside(e)) close();
      began.current = false;
    },
  };
}
