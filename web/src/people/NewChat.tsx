/** Begin a conversation. */
export function NewChatDialog() {
  return <div class="new-chat" />;
}
