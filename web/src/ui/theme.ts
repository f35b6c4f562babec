/** Light or dark: by the system, or as the person chose. */

import { effect, signal } from "@preact/signals";

export type ThemeChoice = "light" | "dark" | "auto";

const KEY = "hongyan.theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(system.matches);
system.addEventListener("change", (e) => (systemDark.value = e.matches));

function stored(): ThemeChoice {
  const found = localStorage.getItem(KEY);
  return found === "light" || found === "dark" ? found : "auto";
}

export const themeChoice = signal<ThemeChoice>(stored());

export function setTheme(choice: ThemeChoice): void {
  if (choice === "auto") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, choice);
  themeChoice.value = choice;
}

effect(() => {
  const dark =
    themeChoice.value === "dark" || (themeChoice.value === "auto" && systemDark.value);
  document.documentElement.dataset["theme"] = dark ? "dark" : "light";
});
