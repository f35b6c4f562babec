/** One conversation. */
export function Thread({ log }: { log: string }) {
  return <p>{log}</p>;
}
