import { notifying, setNotifying } from "../session/index.js";
import { Switch } from "../ui/index.js";
import { words } from "./words.js";

/** Notifications on and off. */
export function NotifySection() {
  const w = words();
  const now = notifying.value;
  return (
    <div class="me-sub">
      <Switch
        label={w.notifyOn}
        hint={w.notifyHint}
        on={now === "on"}
        disabled={now === "never"}
        onChange={(on) => void setNotifying(on)}
      />
      {now === "never" && (
        <p class="me-warn" role="note">
          {typeof Notification === "undefined" ? w.notifyNone : w.notifyDenied}
        </p>
      )}
    </div>
  );
}
