export function NewChatDialog() {
  return null;
}
