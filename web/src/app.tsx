/** The page: login, or the list beside the conversation; on a phone one of the two at a time. */

import { useEffect, useState } from "preact/hooks";
import { DialogHost, dictionary, EmptyState, Icon, MenuHost, Spinner, ToastHost } from "./ui/index.js";
import { client, currentLog, overlay, panel, phase, phone, status } from "./session/index.js";
import { ConversationList } from "./list/ConversationList.js";
import { LiveGate } from "./live/Gate.js";
import { liveRoom, loginFirst } from "./live/route.js";
import { LoginPage } from "./login/LoginPage.js";
import { NewChatDialog } from "./people/NewChat.js";
import { DetailsPanel } from "./people/Details.js";
import { PaletteHost } from "./find/Palette.js";
import { SearchPanel } from "./find/SearchPanel.js";
import { JoinHost } from "./people/Join.js";
import { SettingsDialog } from "./me/SettingsDialog.js";
import { Thread } from "./thread/Thread.js";
import "./app.css";

const words = dictionary(
  {
    pick: "Pick a conversation",
    pickMore: "Choose one from the list, or start a new one.",
    list: "Conversations",
    side: "Details",
    offline: "You are offline. You see what is kept on this device; what you write is sent later.",
    connecting: "No connection to the server. Trying again…",
    now: "Try now",
  },
  {
    pick: "选择一个会话",
    pickMore: "从左侧列表选择，或发起新的聊天。",
    list: "会话列表",
    side: "详情",
    offline: "当前离线，显示的是本设备缓存；写下的消息会在联网后发送。",
    connecting: "无法连接服务器，正在重试…",
    now: "立即重试",
  },
);

const PATIENCE = 2500; // ms without a connection before it is said

export function App() {
  return (
    <>
      <Page />
      <MenuHost />
      <DialogHost />
      <ToastHost />
    </>
  );
}

function Page() {
  if (phase.value === "starting") {
    return (
      <div class="app-wait">
        <Spinner size="l" />
      </div>
    );
  }
  const live = liveRoom.value;
  const inside = phase.value === "in";
  // who is not logged in may watch a room that takes guests
  if (live !== null && (inside || (live && !loginFirst.value))) return <LiveGate name={live} />;
  return inside ? <Chats /> : <LoginPage />;
}

/** Says that what is shown may be old; only when it lasts. */
function OfflineBar() {
  const [late, setLate] = useState(false);
  const s = status.value;
  const cut = s.state !== "open";
  useEffect(() => {
    setLate(false);
    if (!cut) return undefined;
    const timer = setTimeout(() => setLate(true), PATIENCE);
    return () => clearTimeout(timer);
  }, [cut]);
  const w = words();
  const offline = s.state === "offline" || !navigator.onLine;
  return (
    <div class={`app-offline ${cut && late ? "app-offline-on" : ""}`} role="status" aria-live="polite">
      {cut && late && (
        <>
          <Icon name="cloudOff" size={17} />
          <span>{offline ? w.offline : w.connecting}</span>
          {!offline && (
            <button type="button" onClick={() => client().wake()}>
              {w.now}
            </button>
          )}
        </>
      )}
    </div>
  );
}

function Chats() {
  const log = currentLog.value;
  const side = log ? panel.value : null;
  const Side = phone.value ? "section" : "aside";
  const one = phone.value; // one pane at a time, so all of it is the main part
  return (
    <div class="app" role={one ? "main" : undefined} data-pane={side ? "side" : log ? "thread" : "list"}>
      <OfflineBar />
      <nav class="app-list" aria-label={words().list}>
        <ConversationList />
      </nav>
      <div class="app-thread" role={one ? undefined : "main"}>
        {log ? (
          <Thread key={log} log={log} />
        ) : (
          <EmptyState icon="compose" title={words().pick}>
            {words().pickMore}
          </EmptyState>
        )}
      </div>
      {side && (
        <Side class="app-side" aria-label={words().side}>
          {one && <h1 class="unseen">{words().side}</h1>}
          {side === "details" ? <DetailsPanel key={log} log={log} /> : <SearchPanel key={log} />}
        </Side>
      )}
      {overlay.value === "new-chat" && <NewChatDialog />}
      {overlay.value === "settings" && <SettingsDialog />}
      <PaletteHost />
      <JoinHost />
    </div>
  );
}
