/** One menu at a time, opened from code: `openMenu({ at, items })`. Needs `MenuHost` in the page. */

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useBackdrop } from "./backdrop.js";
import { Icon, type IconName } from "./icons.js";
import { dictionary } from "./i18n.js";
import "./dialog.css";

const words = dictionary({ menu: "Menu" }, { menu: "菜单" });

export interface MenuItem {
  label: string;
  icon?: IconName;
  danger?: boolean;
  disabled?: boolean;
  /** A tick: on or off of a setting. */
  checked?: boolean;
  run: () => void;
}

export interface MenuSpec {
  /** An element to hang from, or a point of the page. */
  at: Element | { x: number; y: number };
  /** "-" draws a line. */
  items: readonly (MenuItem | "-")[];
  /** Above the items, e.g. a row of quick reactions. `close` closes the menu. */
  head?: (close: () => void) => ComponentChildren;
  label?: string;
}

const open = signal<MenuSpec | null>(null);

export function openMenu(spec: MenuSpec): void {
  open.value = spec;
}

export function closeMenu(): void {
  open.value = null;
}

export function MenuHost() {
  const spec = open.value;
  return spec ? <Menu spec={spec} /> : null;
}

/** Put `box` next to what it belongs to, inside the window. */
export function place(box: HTMLElement, at: MenuSpec["at"]): void {
  const { width, height } = box.getBoundingClientRect();
  const edge = 8;
  let x: number;
  let y: number;
  if (at instanceof Element) {
    const from = at.getBoundingClientRect();
    x = (from.left + from.right) / 2 < innerWidth / 2 ? from.left : from.right - width;
    y = from.bottom + 4;
    if (y + height > innerHeight - edge) y = from.top - height - 4;
  } else {
    x = at.x + width > innerWidth - edge ? at.x - width : at.x;
    y = at.y + height > innerHeight - edge ? at.y - height : at.y;
  }
  box.style.left = `${Math.max(edge, Math.min(x, innerWidth - width - edge))}px`;
  box.style.top = `${Math.max(edge, Math.min(y, innerHeight - height - edge))}px`;
}

function Menu({ spec }: { spec: MenuSpec }) {
  const ref = useRef<HTMLDialogElement>(null);
  const backdrop = useBackdrop(ref, closeMenu);
  useLayoutEffect(() => {
    const box = ref.current;
    if (!box) return;
    box.showModal();
    place(box, spec.at);
    box.querySelector<HTMLElement>("[role^=menuitem]")?.focus();
    return () => box.close();
  }, [spec]);
  useEffect(() => {
    addEventListener("resize", closeMenu);
    return () => removeEventListener("resize", closeMenu);
  }, []);
  const move = (e: KeyboardEvent) => {
    const all = [...(ref.current?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])].filter(
      (item) => !item.hasAttribute("disabled"),
    );
    const now = all.indexOf(document.activeElement as HTMLElement);
    const to =
      e.key === "ArrowDown" ? now + 1
      : e.key === "ArrowUp" ? now - 1 + (now <= 0 ? all.length : 0)
      : e.key === "Home" ? 0
      : e.key === "End" ? all.length - 1
      : null;
    if (e.key === "Tab") closeMenu();
    if (to === null) return;
    e.preventDefault();
    all[to % all.length]?.focus();
  };
  return (
    <dialog
      ref={ref}
      class="menu"
      aria-label={spec.label ?? words().menu}
      onCancel={(e) => {
        e.preventDefault();
        closeMenu();
      }}
      {...backdrop}
      onContextMenu={(e) => {
        e.preventDefault();
        if (e.target === ref.current) closeMenu();
      }}
      onKeyDown={move}
    >
      {spec.head?.(closeMenu)}
      <div role="menu" class="menu-items" aria-label={spec.label ?? words().menu}>
        {spec.items.map((item, n) =>
          item === "-" ? (
            <hr key={n} class="menu-line" />
          ) : (
            <button
              key={n}
              type="button"
              role={item.checked === undefined ? "menuitem" : "menuitemcheckbox"}
              aria-checked={item.checked}
              class={`menu-item ${item.danger ? "menu-danger" : ""}`}
              disabled={item.disabled}
              tabIndex={-1}
              onClick={() => {
                closeMenu();
                // After the menu is gone and has given the focus back: what runs may take it.
                setTimeout(item.run);
              }}
            >
              <span class="menu-icon">{item.icon && <Icon name={item.icon} size={19} />}</span>
              <span class="ellipsis">{item.label}</span>
              {item.checked && <Icon name="check" size={17} class="menu-tick" />}
            </button>
          ),
        )}
      </div>
    </dialog>
  );
}
