import { langChoice, Select, setLang, setTheme, themeChoice } from "../ui/index.js";
import { words } from "./words.js";

/** Language, light or dark. */
export function LookSection() {
  const w = words();
  return (
    <div class="me-sub">
      <Select
        label={w.language}
        value={langChoice.value}
        options={[["auto", w.asBrowser], ["zh-CN", "简体中文"], ["en", "English"]]}
        onChange={setLang}
      />
      <Select
        label={w.theme}
        value={themeChoice.value}
        options={[["auto", w.asSystem], ["light", w.light], ["dark", w.dark]]}
        onChange={setTheme}
      />
    </div>
  );
}
