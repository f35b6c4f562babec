/** @packageDocumentation Client of hongyan for browsers and Node; see `docs/sdk-typescript.md`. */

export type * from "./api.js";
export { createClient } from "./client.js";
export * from "./errors.gen.js"; // and KINDS, all of them by name
export type {
  Ack,
  Entry,
  InboxPage,
  InboxRow,
  Limits,
  Page,
  Welcome,
} from "./frames.gen.js";
export type { Socket, SocketClass } from "./links.js";
export {
  BadRequest,
  Denied,
  LogCut,
  LoggedOut,
  Offline,
  OutboxFull,
  Refusal,
  Stopped,
  Transient,
  WrongUser,
} from "./refusal.js";
export type { Cut } from "./refusal.js";
export { IndexedStore, MemoryStore } from "./store.js";
