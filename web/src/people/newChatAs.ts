import { signal } from "@preact/signals";
import { overlay } from "../session/index.js";

/** What the window for new chats begins with. */
export const newChatMode = signal<"chat" | "group" | "join">("chat");

/** Open the window for new chats. */
export function newChatAs(mode: "chat" | "group" | "join"): void {
  newChatMode.value = mode;
  overlay.value = "new-chat";
}
