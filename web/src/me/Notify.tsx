import { Switch } from "../ui/index.js";
import { notifyChoice, permission, setNotify } from "./notifications.js";
import { words } from "./words.js";

/** Notifications on and off. */
export function NotifySection() {
  const w = words();
  const { on, preview, sound } = notifyChoice.value;
  const blocked = permission.value === "denied" || permission.value === "";
  const live = on && permission.value === "granted";
  return (
    <div class="me-sub">
      <Switch
        label={w.notifyOn}
        hint={w.notifyHint}
        on={live}
        disabled={blocked}
        onChange={(value) => void setNotify({ on: value })}
      />
      {blocked && (
        <p class="me-warn" role="note">
          {permission.value === "" ? w.notifyNone : w.notifyDenied}
        </p>
      )}
      <Switch
        label={w.preview}
        hint={w.previewHint}
        on={preview}
        disabled={!live}
        onChange={(value) => void setNotify({ preview: value })}
      />
      <Switch label={w.sound} on={sound} disabled={!live} onChange={(value) => void setNotify({ sound: value })} />
    </div>
  );
}
