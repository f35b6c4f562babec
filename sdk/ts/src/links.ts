/** One connection to a server: WebSocket, a stream of server-sent events, or long-polling. */

import type { TransportName } from "./api.js";
import { framesOf, jsonCodec } from "./codec.js";
import type { Codec, Data } from "./codec.js";
import type { ClientFrame, ServerFrame } from "./frames.gen.js";

/** What a link tells. `lost` comes once, also where no connection was made. */
export interface LinkEvents {
  /** `decode` throws BadFrame. */
  message(decode: () => ServerFrame[]): void;
  lost(reason: string): void;
}

/** Messages out. What is sent after the loss goes nowhere. */
export interface Link {
  readonly writable: boolean;
  send(frames: ClientFrame[]): void;
  close(): void;
}

/** Where and with what links are made. */
export interface Endpoint {
  url: URL;
  codec: Codec;
  webSocket: SocketClass | undefined;
  fetch: typeof fetch;
}

/** The part of `WebSocket` that is used. */
export interface Socket {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  send(data: Data): void;
  close(): void;
}
export type SocketClass = new (url: string, protocols: string[]) => Socket;

const MOST_BACKLOG = 1024 * 1024; // bytes waiting in the socket
const WAIT_S = 25; // of a poll
const TRIES = 3;

/** Connect and say hello. */
export function connect(
  name: TransportName,
  to: Endpoint,
  hello: ClientFrame & { t: "hello" },
  on: LinkEvents,
): Link {
  if (name === "websocket") return webSocketLink(to, hello, on);
  return httpLink(name, to, hello, on);
}

/** Whether a WebSocket can be opened now. */
export function probe(to: Endpoint, withinMs: number): Promise<boolean> {
  return new Promise<boolean>((resolve) => {
    const socket = new to.webSocket!(socketUrl(to.url), [to.codec.subprotocol]);
    const end = (works: boolean) => {
      clearTimeout(timer);
      resolve(works);
      socket.close();
    };
    const timer = setTimeout(() => end(false), withinMs);
    socket.onopen = () => end(true);
    socket.onclose = socket.onerror = () => end(false);
  }).catch(() => false); // not allowed here
}

function socketUrl(url: URL): string {
  return sameServer(url, url.pathname === "/" ? "/v1/ws" : url.href, "ws");
}

/** An address of the same server for HTTP. */
export function httpUrl(url: URL, path: string): string {
  return sameServer(url, path, "http");
}

function sameServer(url: URL, path: string, scheme: string): string {
  const address = new URL(path, url);
  address.protocol = scheme + (/^(http|ws)s:/.test(url.protocol) ? "s:" : ":");
  return address.href;
}

function webSocketLink(to: Endpoint, hello: ClientFrame, on: LinkEvents): Link {
  const { codec } = to;
  const socket = new to.webSocket!(socketUrl(to.url), [codec.subprotocol]);
  let over = false;
  const lose = (reason: string) => {
    if (over) return;
    over = true;
    on.lost(reason);
  };
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send(codec.encode([hello]));
  socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
    if (!over) on.message(() => codec.decode(typeof data === "string" ? data : new Uint8Array(data)));
  };
  socket.onerror = () => {}; // says nothing; `close` follows
  socket.onclose = ({ code }: { code: number }) => lose(`the connection was closed (${code})`);
  return {
    get writable() {
      return !over && socket.bufferedAmount < MOST_BACKLOG;
    },
    send: (frames) => over || socket.send(codec.encode(frames)),
    close() {
      lose("closed by this side");
      socket.close();
    },
  };
}

function httpLink(
  name: "sse" | "poll",
  to: Endpoint,
  hello: ClientFrame & { t: "hello" },
  on: LinkEvents,
): Link {
  const stop = new AbortController();
  const base = name === "sse" ? "/v1/stream" : "/v1/poll";
  let session = "";
  let waiting: ClientFrame[] = [];
  let number = 0; // of the last message up
  let busy = false;

  const lose = (reason: string) => {
    if (stop.signal.aborted) return;
    stop.abort();
    on.lost(reason);
  };
  const request = async (method: string, path: string, frames?: ClientFrame[]) => {
    const init: RequestInit = { method, credentials: "omit", cache: "no-store" };
    if (frames) {
      init.body = String(jsonCodec.encode(frames));
      init.headers = { "content-type": "application/json" };
    }
    // the last word goes out also when the page closes
    if (frames?.[0]?.t === "bye") init.keepalive = true;
    else init.signal = stop.signal;
    const response = await to.fetch(httpUrl(to.url, path), init);
    if (response.ok) return response;
    const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
    if (!session && problem.code) on.message(() => [refusedHello(problem)]);
    throw new Gone(`${method} ${path}: status ${response.status} ${problem.detail ?? ""}`);
  };
  /** Again where the network failed: both ways are numbered, so nothing comes twice. */
  const surely = async (method: string, path: string, frames?: ClientFrame[]) => {
    for (let tries = 1; ; tries++) {
      try {
        return await request(method, path, frames);
      } catch (error) {
        if (error instanceof Gone || stop.signal.aborted || tries === TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200 * tries));
      }
    }
  };
  /** Send what waits, one request at a time: order matters. */
  const pump = async () => {
    if (busy || !session) return;
    busy = true;
    while (waiting.length) {
      const frames = waiting.splice(0, 64);
      await surely("POST", `${base}/${session}?n=${++number}`, frames);
    }
    busy = false;
  };
  const stream = async () => {
    const response = await request("POST", base, [hello]);
    session = response.headers.get("Hongyan-Session") ?? "";
    await readEvents(response, (data) => on.message(() => jsonCodec.decode(data)), stop.signal);
    throw new Error("the stream ended");
  };
  const poll = async () => {
    const first = (await (await request("POST", base, [hello])).json()) as Polled & { session: string };
    session = first.session;
    let { next } = tell(first);
    while (!stop.signal.aborted) {
      const answer = await surely("GET", `${base}/${session}?after=${next}&wait=${WAIT_S}`);
      next = tell((await answer.json()) as Polled).next;
    }
  };
  const tell = (polled: Polled) => {
    for (const message of polled.messages) on.message(() => framesOf(message));
    return polled;
  };
  const guarded = (work: Promise<void>) => work.catch((error: unknown) => lose(String(error)));

  void guarded(name === "sse" ? stream() : poll());
  return {
    get writable() {
      return !stop.signal.aborted;
    },
    send(frames) {
      waiting.push(...frames);
      void guarded(pump());
    },
    close: () => lose("closed by this side"),
  };
}

/** The server answered, and it is no use to ask again. */
class Gone extends Error {}

interface Polled {
  next: number;
  messages: unknown[];
}

interface Problem {
  code: number;
  detail: string;
  title: string;
  retry_after_ms: number;
}

/** A hello is refused over HTTP by a problem; over a WebSocket it would be a goodbye. */
function refusedHello({ code = 0, detail, title = "", retry_after_ms = 0 }: Partial<Problem>): ServerFrame {
  const again = code >= 300 && code < 400;
  return { t: "goodbye", code, text: detail ?? title, reconnect_after_ms: again ? retry_after_ms : -1 };
}

/** The data of each event of a stream; comments and other fields are passed over. */
async function readEvents(
  response: Response,
  tell: (data: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done || signal.aborted) return;
    text += decoder.decode(value, { stream: true }).replaceAll("\r\n", "\n");
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const lines = text.slice(0, end).split("\n");
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length) tell(data.join("\n"));
      if (signal.aborted) return;
    }
  }
}
