/** About a conversation. */
export function DetailsPanel({ log }: { log: string }) {
  return <div class="details">{log}</div>;
}
