/** The page: login, or the list beside the conversation; on a phone one of the two at a time. */

import { DialogHost, dictionary, EmptyState, MenuHost, Spinner, ToastHost } from "./ui/index.js";
import { currentLog, overlay, panel, phase } from "./session/index.js";
import { ConversationList } from "./list/ConversationList.js";
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
  },
  { pick: "选择一个会话", pickMore: "从左侧列表选择，或发起新的聊天。", list: "会话列表", side: "详情" },
);

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
  return phase.value === "in" ? <Chats /> : <LoginPage />;
}

function Chats() {
  const log = currentLog.value;
  const side = log ? panel.value : null;
  return (
    <div class="app" data-pane={side ? "side" : log ? "thread" : "list"}>
      <nav class="app-list" aria-label={words().list}>
        <ConversationList />
      </nav>
      <main class="app-thread">
        {log ? (
          <Thread key={log} log={log} />
        ) : (
          <EmptyState icon="compose" title={words().pick}>
            {words().pickMore}
          </EmptyState>
        )}
      </main>
      {side && (
        <aside class="app-side" aria-label={words().side}>
          {side === "details" ? <DetailsPanel key={log} log={log} /> : <SearchPanel key={log} />}
        </aside>
      )}
      {overlay.value === "new-chat" && <NewChatDialog />}
      {overlay.value === "settings" && <SettingsDialog />}
      <PaletteHost />
      <JoinHost />
    </div>
  );
}
