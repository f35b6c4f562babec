import { useState } from "preact/hooks";
import { Input, type InputProps } from "../ui/index.js";
import { words } from "./words.js";

/** A password, hidden until the person wants to see it. */
export function PasswordInput(props: Omit<InputProps, "type" | "spellcheck">) {
  const [seen, setSeen] = useState(false);
  const w = words();
  return (
    <div class="password">
      <Input {...props} type={seen ? "text" : "password"} />
      <button
        type="button"
        class="password-eye"
        aria-pressed={seen}
        aria-label={w.show}
        title={seen ? w.hide : w.show}
        onClick={() => setSeen(!seen)}
      >
        <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" class="password-icon">
          <path d="M2.5 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12z" />
          <circle cx="12" cy="12" r="3" />
          {!seen && <path d="M4 4l16 16" />}
        </svg>
      </button>
    </div>
  );
}
