/** Settings of the person: sections beside their list, on a phone one after the other. */

import { useState } from "preact/hooks";
import type { ComponentType } from "preact";
import { overlay, phone } from "../session/index.js";
import { Dialog, Icon, IconButton, type IconName } from "../ui/index.js";
import { AboutSection } from "./About.js";
import { BlockedSection } from "./Blocked.js";
import { DevicesSection } from "./Devices.js";
import { askLogOut } from "./logOut.js";
import { LookSection } from "./Look.js";
import { NotifySection } from "./Notify.js";
import { PasswordSection } from "./Password.js";
import { ProfileSection } from "./Profile.js";
import { StorageSection } from "./Storage.js";
import { words } from "./words.js";
import "../find/find.css";
import "../people/people.css";
import "../people/details.css";
import "./me.css";

type Section = "profile" | "password" | "devices" | "look" | "notify" | "blocked" | "storage" | "about";

const SECTIONS: readonly [Section, IconName, ComponentType][] = [
  ["profile", "user", ProfileSection],
  ["notify", "bell", NotifySection],
  ["look", "sun", LookSection],
  ["blocked", "block", BlockedSection],
  ["devices", "device", DevicesSection],
  ["password", "shield", PasswordSection],
  ["storage", "archive", StorageSection],
  ["about", "info", AboutSection],
];

const close = () => (overlay.value = null);

export function SettingsDialog() {
  const w = words();
  const [chosen, setChosen] = useState<Section | null>(null);
  const narrow = phone.value;
  const now = chosen ?? (narrow ? null : "profile");
  const Page = SECTIONS.find(([name]) => name === now)?.[2];
  return (
    <Dialog
      title={narrow && now ? w[now] : w.settings}
      size="l"
      class="settings"
      lead={narrow && now ? <IconButton icon="back" label={w.back} onClick={() => setChosen(null)} /> : undefined}
      onClose={close}
    >
      {(!narrow || !now) && (
        <nav class="settings-nav" aria-label={w.settings}>
          {SECTIONS.map(([name, icon]) => (
            <button
              key={name}
              type="button"
              class="settings-way"
              aria-current={name === now ? "page" : undefined}
              onClick={() => setChosen(name)}
            >
              <Icon name={icon} size={20} />
              <span>{w[name]}</span>
            </button>
          ))}
          <button
            type="button"
            class="settings-way settings-out"
            onClick={() => void askLogOut()}
          >
            <Icon name="logout" size={20} />
            <span>{w.logOut}</span>
          </button>
        </nav>
      )}
      {now && Page && (
        <div
          class="settings-page"
          key={now}
          ref={(el) => {
            if (el && narrow && !el.contains(document.activeElement)) el.focus(); // the list went away
          }}
          tabIndex={0}
          role="region"
          aria-label={w[now]}
        >
          <h3>{w[now]}</h3>
          <Page />
        </div>
      )}
    </Dialog>
  );
}
