/** The console: who may see it, and the frame around its pages. */

import { useEffect, useRef, useState } from "preact/hooks";
import {
  Avatar,
  Dialog,
  DialogHost,
  Icon,
  IconButton,
  lang,
  langChoice,
  MenuHost,
  openMenu,
  setLang,
  setTheme,
  Spinner,
  themeChoice,
  ToastHost,
} from "../ui/index.js";
import { AuditPage } from "./Audit.js";
import { FilesPage } from "./Files.js";
import { Glyph, type GlyphName } from "./glyphs.js";
import { HooksPage } from "./Hooks.js";
import { KeysPage } from "./Keys.js";
import { Login } from "./Login.js";
import { LogsPage } from "./Logs.js";
import { Overview } from "./Overview.js";
import { PeoplePage } from "./People.js";
import { Problem } from "./parts.js";
import { placeOf, place, watchPlace, type PageName } from "./router.js";
import { findOut, logOut, me, Offline } from "./session.js";
import { SettingsPage } from "./Settings.js";
import { WebhooksPage } from "./Webhooks.js";
import { words } from "./words.js";

const VIEWS: Record<PageName, () => preact.JSX.Element> = {
  overview: Overview,
  people: PeoplePage,
  logs: LogsPage,
  webhooks: WebhooksPage,
  hooks: HooksPage,
  keys: KeysPage,
  files: FilesPage,
  settings: SettingsPage,
  audit: AuditPage,
};

type Group = "watch" | "inspect" | "connect" | "server";

const NAV: readonly (readonly [Group, readonly (readonly [PageName, GlyphName])[]])[] = [
  ["watch", [["overview", "gauge"]]],
  ["inspect", [["people", "people"], ["logs", "list"]]],
  ["connect", [["webhooks", "webhook"], ["hooks", "gate"], ["keys", "key"]]],
  ["server", [["files", "file"], ["settings", "sliders"], ["audit", "book"]]],
];

export function App() {
  useEffect(watchPlace, []);
  return (
    <>
      <Gate />
      <DialogHost />
      <MenuHost />
      <ToastHost />
    </>
  );
}

function Gate() {
  const [down, setDown] = useState<Offline | null>(null);
  const look = () => {
    findOut().then(
      () => setDown(null),
      (error: unknown) => setDown(error instanceof Offline ? error : new Offline(String(error))),
    );
  };
  useEffect(look, []);
  if (me.value === undefined) {
    return (
      <main class="center">
        {down ? <Problem error={down} again={look} /> : <Spinner size="l" />}
      </main>
    );
  }
  return me.value?.admin ? <Frame /> : <Login />;
}

function Frame() {
  const { page, id } = place.value;
  const [drawer, setDrawer] = useState(false);
  const main = useRef<HTMLElement>(null);
  const w = words();
  const View = VIEWS[page];
  const title = w.pages[page];
  useEffect(() => {
    document.title = `${id || title} · hongyan`;
    setDrawer(false);
    main.current?.scrollTo(0, 0);
  }, [page, id, lang.value]);
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), main.current?.focus())}>
        {w.skip}
      </a>
      <aside class="side">
        <Brand />
        <Nav />
      </aside>
      <header class="top">
        <IconButton
          icon="quote"
          label={w.menu}
          class="top-menu"
          expanded={drawer}
          onClick={() => setDrawer(true)}
        />
        <h1 class="top-title">
          {id ? (
            <>
              <a href={placeOf(page)}>{title}</a>
              <Icon name="right" size={16} />
              <span class="ellipsis">{id}</span>
            </>
          ) : (
            title
          )}
        </h1>
        <Me />
      </header>
      <main ref={main} id="main" class="main" tabIndex={-1}>
        <View key={`${page} ${id}`} />
      </main>
      {drawer && (
        <Dialog title={w.console} onClose={() => setDrawer(false)} class="drawer">
          <Nav />
        </Dialog>
      )}
    </div>
  );
}

function Brand() {
  return (
    <a class="brand" href={placeOf("overview")}>
      <svg width="28" height="28" viewBox="0 0 32 32" aria-hidden="true" class="brand-mark">
        <rect width="32" height="32" rx="9" />
        <path d="M5 19c5-1 8-4 11-9 1 3 1 5 0 7 4-2 7-2 11-1-4 1-7 3-9 6-4 4-9 2-13-3z" />
      </svg>
      <span>
        <b>hongyan</b>
        <small>{words().console}</small>
      </span>
    </a>
  );
}

function Nav() {
  const w = words();
  return (
    <nav class="nav" aria-label={w.console}>
      {NAV.map(([group, pages]) => (
        <div key={group} class="nav-group">
          <p class="nav-head">{w.groups[group]}</p>
          <ul>
            {pages.map(([page, icon]) => (
              <li key={page}>
                <a
                  href={placeOf(page)}
                  class="nav-link"
                  aria-current={place.value.page === page ? "page" : undefined}
                >
                  <Glyph name={icon} size={18} />
                  {w.pages[page]}
                </a>
              </li>
            ))}
          </ul>
        </div>
      ))}
    </nav>
  );
}

function Me() {
  const who = me.value;
  const w = words();
  if (!who) return null;
  const open = (e: MouseEvent) => {
    const theme = themeChoice.value;
    const tongue = langChoice.value;
    openMenu({
      at: e.currentTarget as Element,
      label: who.user,
      items: [
        { label: w.automatic, icon: "settings", checked: theme === "auto", run: () => setTheme("auto") },
        { label: w.light, icon: "sun", checked: theme === "light", run: () => setTheme("light") },
        { label: w.dark, icon: "moon", checked: theme === "dark", run: () => setTheme("dark") },
        "-",
        { label: "English", icon: "globe", checked: tongue === "en", run: () => setLang("en") },
        { label: "简体中文", icon: "globe", checked: tongue === "zh-CN", run: () => setLang("zh-CN") },
        "-",
        { label: w.openApp, icon: "compose", run: () => location.assign("/") },
        { label: w.logOut, icon: "logout", run: () => void logOut() },
      ],
    });
  };
  return (
    <button
      type="button"
      class="me"
      aria-haspopup="menu"
      onClick={open}
    >
      <Avatar id={who.user} name={who.user} size={28} />
      <span class="ellipsis me-name">{who.user}</span>
      <small class="me-tenant">{who.tenant}</small>
      <Icon name="down" size={16} />
    </button>
  );
}
