/** The list of conversations with its search box, filters and the menu of one's account. */

import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { arrows } from "../find/arrows.js";
import { Found } from "../find/Found.js";
import { showPalette } from "../find/palette.js";
import { askLogOut } from "../me/logOut.js";
import { newChatAs } from "../people/newChatAs.js";
import { goLive } from "../live/route.js";
import { startDirect } from "../people/finding.js";
import { currentLog, me, openChat, overlay, rows, status, UserAvatar } from "../session/index.js";
import { Badge, Button, EmptyState, Icon, IconButton, openMenu, Spinner } from "../ui/index.js";
import { type Filter, FILTERS, listed, waiting } from "./order.js";
import { namesOf } from "./naming.js";
import { Rows } from "./Rows.js";
import { words } from "./words.js";
import "./list.css";

/** The first thing that the search found; none while nothing is looked for. */
function firstFound(): HTMLElement | null {
  return document.querySelector(".found .hit");
}

const filter = signal<Filter>("all");
const query = signal("");

export function ConversationList() {
  const w = words();
  const box = useRef<HTMLInputElement>(null);
  const shown = useMemo(
    () => listed(rows.value.values(), filter.value, "", namesOf),
    [rows.value, filter.value],
  );
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
      if (!step || !e.altKey || e.ctrlKey || e.metaKey || e.shiftKey || document.querySelector("dialog[open]")) return;
      const at = shown.findIndex((row) => row.log === currentLog.peek());
      const next = shown[at < 0 ? 0 : at + step];
      e.preventDefault();
      if (next) openChat(next.log);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [shown]);
  const clear = () => (query.value = "");
  const searching = query.value.trim() !== "";
  const Title = currentLog.value ? "h2" : "h1"; // a conversation has a headline of its own
  return (
    <div class="list">
      <Title class="unseen">{w.title}</Title>
      <header class="list-head">
        <AccountButton />
        <div class="list-find">
          <Icon name="search" size={18} />
          <input
            ref={box}
            type="search"
            aria-label={w.find}
            placeholder={w.find}
            autocomplete="off"
            spellcheck={false}
            value={query.value}
            onInput={(e) => (query.value = e.currentTarget.value)}
            onKeyDown={(e) => {
              if (e.key === "Escape" && query.value) {
                e.preventDefault();
                clear();
              } else if (e.key === "Enter" && !e.isComposing) firstFound()?.click();
              else if (query.value) arrows(e, document.querySelector(".found"));
            }}
          />
          {query.value && (
            <button
              type="button"
              class="list-clear"
              aria-label={w.clear}
              onClick={() => {
                clear();
                box.current?.focus();
              }}
            >
              <Icon name="close" size={16} />
            </button>
          )}
        </div>
        <IconButton icon="compose" label={w.newChat} onClick={() => newChatAs("chat")} />
      </header>
      {searching ? (
        <Found query={query.value} done={clear} input={box} />
      ) : (
        <>
          <Filters />
          {shown.length > 0 ? <Rows key={filter.value} rows={shown} label={w[filter.value]} /> : <Empty />}
        </>
      )}
    </div>
  );
}

function AccountButton() {
  const w = words();
  const user = me.value?.user ?? "";
  return (
    <button
      type="button"
      class="list-me"
      title={w.me}
      aria-haspopup="menu"
      onClick={(e) =>
        openMenu({
          at: e.currentTarget,
          label: w.me,
          items: [
            { label: w.saved, icon: "archive", run: () => void startDirect(user) },
            { label: w.newGroup, icon: "users", run: () => newChatAs("group") },
            { label: w.switchTo, icon: "search", run: () => showPalette() },
            { label: w.settings, icon: "settings", run: () => (overlay.value = "settings") },
            { label: w.live, icon: "live", run: () => goLive() },
            "-",
            { label: w.logOut, icon: "logout", danger: true, run: () => void askLogOut() },
          ],
        })
      }
    >
      <UserAvatar user={user} size={36} />
      <span class="unseen">{w.me}</span>
    </button>
  );
}

function Filters() {
  const w = words();
  const all = rows.value;
  const counts = useMemo(
    () => ({ unread: waiting(all.values(), "unread"), archived: waiting(all.values(), "archived") }),
    [all],
  );
  return (
    <div class="list-filters" role="group" aria-label={w.filters}>
      {FILTERS.map((name) => (
        <button
          key={name}
          type="button"
          class="list-filter"
          aria-pressed={filter.value === name}
          onClick={() => (filter.value = name)}
        >
          {w[name]}
          {(name === "unread" || name === "archived") && <Badge n={counts[name]} muted={name === "archived"} />}
        </button>
      ))}
    </div>
  );
}

function Empty() {
  const w = words();
  if (filter.value === "all" && !status.value.synced && status.value.state !== "offline" && !rows.value.size) {
    return (
      <div class="list-wait">
        <Spinner label={w.syncing} />
      </div>
    );
  }
  const [icon, title, more] = {
    all: ["compose", w.emptyAll, w.emptyAllMore],
    unread: ["check", w.emptyUnread, w.emptyUnreadMore],
    groups: ["users", w.emptyGroups, w.emptyGroupsMore],
    archived: ["archive", w.emptyArchived, w.emptyArchivedMore],
  }[filter.value] as ["compose" | "check" | "users" | "archive", string, string];
  return (
    <EmptyState icon={icon} title={title}>
      <p>{more}</p>
      {filter.value === "all" && (
        <Button kind="primary" class="list-start" onClick={() => newChatAs("chat")}>
          {w.start}
        </Button>
      )}
      {filter.value === "groups" && (
        <Button kind="primary" class="list-start" onClick={() => newChatAs("group")}>
          {w.newGroup}
        </Button>
      )}
    </EmptyState>
  );
}
