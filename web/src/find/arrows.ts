/**
 * Up and down go from one found thing to the next within `box`, Escape and everything else is left
 * alone. `from`, a search box, is what lies before the first.
 */
export function arrows(e: KeyboardEvent, box: Element | null, from?: HTMLElement | null): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  if (!step || !box || e.altKey || e.ctrlKey || e.metaKey || e.isComposing) return;
  const all = [...box.querySelectorAll<HTMLElement>("button.hit:not(:disabled)")];
  const at = all.indexOf(document.activeElement as HTMLElement);
  if (at < 0 && step < 0) return;
  const to = at + step < 0 ? from : all[at + step];
  if (!to) return;
  e.preventDefault();
  to.focus();
}
