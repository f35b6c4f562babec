/** Files of this tab by digest, so that one's own pictures need no way to the server and back. */

const MOST = 60; // the oldest are forgotten: they come from the server then
const urls = new Map<string, string>();

/** Remember a file; a digest that is known keeps its URL. */
export function keepLocal(digest: string, file: Blob): void {
  if (urls.has(digest)) return;
  urls.set(digest, URL.createObjectURL(file));
  for (const [oldest, url] of urls) {
    if (urls.size <= MOST) break;
    urls.delete(oldest);
    URL.revokeObjectURL(url);
  }
}

/** A `blob:` URL of a file that this tab has; "" when it has not. */
export function localUrl(digest: string): string {
  return urls.get(digest) ?? "";
}
