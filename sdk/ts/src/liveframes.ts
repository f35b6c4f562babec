/** The frames of live logs: decoded only in pages that ask for it. */

import { LIVE_SCHEMA, SCHEMA } from "./frames.gen.js";

/**
 * Understand the frames of live logs from now on. `watch` does it by itself; where tabs share a
 * connection, call it at the start of every page, because the tab that connects decodes for all.
 */
export function takeLiveFrames(): void {
  Object.assign(SCHEMA, LIVE_SCHEMA);
}
