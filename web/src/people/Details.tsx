export function DetailsPanel({ log }: { log: string }) {
  return <p>{log}</p>;
}
