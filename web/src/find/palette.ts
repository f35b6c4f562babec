import { signal } from "@preact/signals";

/** Whether the window that switches conversations is open. */
export const paletteOpen = signal(false);

export function showPalette(): void {
  paletteOpen.value = true;
}
