/**
 * Words in two languages. Each folder brings its own dictionary:
 *
 *     const words = dictionary({ send: "Send", n: (n: number) => `${n} files` }, { send: "发送", … });
 *     … <button>{words().send}</button>
 *
 * `words()` reads a signal, so what is shown changes with the language by itself.
 */

import { computed, effect, signal } from "@preact/signals";

export type Lang = "zh-CN" | "en";
/** What the person chose; "auto" follows the browser. */
export type LangChoice = Lang | "auto";

const KEY = "hongyan.lang";

function stored(): LangChoice {
  const found = localStorage.getItem(KEY);
  return found === "zh-CN" || found === "en" ? found : "auto";
}

export const langChoice = signal<LangChoice>(stored());

export const lang = computed<Lang>(() => {
  if (langChoice.value !== "auto") return langChoice.value;
  return navigator.languages.some((l) => l.toLowerCase().startsWith("zh")) ? "zh-CN" : "en";
});

effect(() => {
  document.documentElement.lang = lang.value;
});

export function setLang(choice: LangChoice): void {
  if (choice === "auto") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, choice);
  langChoice.value = choice;
}

/** The dictionary of the language that is shown now; both have the same words by their type. */
export function dictionary<T extends object>(en: T, zh: NoInfer<T>): () => T {
  return () => (lang.value === "zh-CN" ? zh : en);
}
