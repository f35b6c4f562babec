/**
 * Files on their way: uploaded in pieces that go on where they stopped, then said in the
 * conversation. Lives in this tab: what is not up when the tab closes is not sent.
 */

import { signal } from "@preact/signals";
import { DetailedError, Upload as Tus } from "tus-js-client";
import { client, getToken, HttpRefusal, onLogin, type Blob as FileBlob, type Content } from "../session/index.js";
import { keepLocal } from "./local.js";
import { measure, type Measured } from "./measure.js";

export type FileKind = "image" | "video" | "voice" | "file";

export interface Upload {
  id: string;
  /** The op of the call that says it: chosen before, so that its place in the thread stays. */
  op: string;
  log: string;
  kind: FileKind;
  file: File;
  caption: string;
  replyTo: number;
  at: number;
  /** 0 to 1 */
  progress: number;
  state: "uploading" | "failed";
  error: string;
  measured: Measured;
}

interface FileAnswer {
  blob: FileBlob;
  width?: number;
  height?: number;
  preview?: string | null;
  placeholder?: string;
  duration_ms?: number;
}

const PIECE = 4 * 1024 * 1024; // bytes in one request
const RETRIES = [500, 1500, 4000, 8000, 15000]; // ms between tries while the link is bad

const CUT = ""; // the error of an upload that had no answer: it goes on with the next connection

/** All uploads of this tab, in the order in which they were begun. */
export const uploads = signal<readonly Upload[]>([]);

const running = new Map<string, Tus>();

function patch(id: string, change: Partial<Upload>): void {
  uploads.value = uploads.value.map((u) => (u.id === id ? { ...u, ...change } : u));
}

function drop(id: string): void {
  running.delete(id);
  uploads.value = uploads.value.filter((u) => u.id !== id);
}

/** What a file is sent as; `asFile` leaves pictures and films as they are. */
export function kindOf(file: File, asFile: boolean): FileKind {
  if (asFile) return "file";
  if (/^image\/(png|jpeg|gif|webp|avif)$/.test(file.type)) return "image";
  return /^video\/(mp4|webm|quicktime)$/.test(file.type) ? "video" : "file";
}

function contentOf(upload: Upload, answer: FileAnswer): Content {
  const { blob, width = 0, height = 0, preview = null, placeholder } = answer;
  const named = { ...blob, name: blob.name || upload.file.name.slice(0, 200) };
  const { caption, measured } = upload;
  const size = { width: width || measured.width, height: height || measured.height };
  const duration_ms = answer.duration_ms ?? measured.durationMs;
  const extra = placeholder ? { placeholder } : {};
  if (upload.kind === "image" && blob.media_type.startsWith("image/")) {
    return { type: "image", blob: named, ...size, preview, caption, ...extra };
  }
  if (upload.kind === "video" && blob.media_type.startsWith("video/")) {
    return { type: "video", blob: named, ...size, duration_ms, preview, caption, ...extra };
  }
  if (upload.kind === "voice") return { type: "voice", blob: named, duration_ms };
  return { type: "file", blob: named, caption };
}

/** What the thread shows while the upload runs. */
export function provisional(upload: Upload): Content {
  const blob = { digest: `local:${upload.id}`, size: upload.file.size, media_type: upload.file.type, name: upload.file.name };
  return contentOf(upload, { blob: upload.kind === "image" || upload.kind === "video" ? { ...blob, media_type: `${upload.kind}/*` } : blob });
}

async function answerOf(tus: Tus, body: string): Promise<FileAnswer> {
  if (body) {
    const answer = JSON.parse(body) as Partial<FileAnswer>;
    if (answer.blob) return answer as FileAnswer;
  }
  const path = new URL(tus.url ?? "", location.href).pathname;
  const answer = await client().http(path);
  if (!answer.ok) throw new HttpRefusal(answer.statusText, answer.status, 0);
  return (await answer.json()) as FileAnswer;
}

async function say(upload: Upload, answer: FileAnswer): Promise<void> {
  const content = contentOf(upload, answer);
  keepLocal(answer.blob.digest, upload.file);
  const args = {
    content: JSON.parse(JSON.stringify(content)) as never,
    ...(upload.replyTo ? { reply_to: upload.replyTo } : {}),
  };
  const sent = client().call("chat.send", args, { log: upload.log, op: upload.op });
  drop(upload.id);
  await sent.catch(() => undefined); // a refusal is shown by the outbox
}

function failed(id: string, error: unknown): void {
  let text = error instanceof Error ? error.message : String(error);
  if (error instanceof DetailedError) {
    const body = error.originalResponse?.getBody();
    try {
      const problem = JSON.parse(body ?? "") as { detail?: string; title?: string };
      text = problem.detail ?? problem.title ?? text;
    } catch {
      text = CUT; // no answer at all
    }
  }
  patch(id, { state: "failed", error: text });
}

function run(upload: Upload): void {
  const tus = new Tus(upload.file, {
    endpoint: "/v1/files",
    chunkSize: PIECE,
    retryDelays: RETRIES,
    storeFingerprintForResuming: false,
    removeFingerprintOnSuccess: true,
    metadata: { filename: upload.file.name, filetype: upload.file.type || "application/octet-stream" },
    onBeforeRequest: async (request) => {
      request.setHeader("Authorization", `Bearer ${await getToken()}`);
    },
    onProgress: (sent, total) => patch(upload.id, { progress: total ? sent / total : 0 }),
    onError: (error) => failed(upload.id, error),
    onSuccess: ({ lastResponse }) => {
      answerOf(tus, lastResponse.getBody())
        .then((answer) => say(upload, answer))
        .catch((error: unknown) => failed(upload.id, error));
    },
  });
  running.set(upload.id, tus);
  tus.start();
}

/** Begin to upload a file and say it in `log` as soon as it is there. */
export async function sendFile(
  log: string,
  file: File,
  options: { kind?: FileKind; caption?: string; replyTo?: number; durationMs?: number } = {},
): Promise<void> {
  const id = crypto.randomUUID();
  const kind = options.kind ?? kindOf(file, false);
  keepLocal(`local:${id}`, file);
  const measured = await measure(kind, file, id);
  if (options.durationMs) measured.durationMs = options.durationMs;
  const upload: Upload = {
    id, op: `f${id.replaceAll("-", "")}`, log, kind, file, measured,
    caption: options.caption ?? "", replyTo: options.replyTo ?? 0,
    at: Date.now(), progress: 0, state: "uploading", error: "",
  };
  uploads.value = [...uploads.value, upload];
  run(upload);
}

/** Go on with an upload that failed, from where it stopped. */
export function retryUpload(id: string): void {
  const upload = uploads.value.find((u) => u.id === id);
  if (!upload) return;
  patch(id, { state: "uploading", error: "" });
  const begun = running.get(id);
  if (begun) begun.start();
  else run(upload);
}

/** Stop an upload and forget it; the server forgets what it has of it. */
export async function cancelUpload(id: string): Promise<void> {
  const tus = running.get(id);
  drop(id);
  await tus?.abort(true).catch(() => undefined); // it expires there by itself
}

/** Ask before the tab closes over a file that is not up yet. */
function warn(e: BeforeUnloadEvent): void {
  if (uploads.peek().length) e.preventDefault();
}

onLogin((made) => {
  addEventListener("beforeunload", warn);
  const goOn = () => {
    for (const u of uploads.peek()) if (u.state === "failed" && u.error === CUT) retryUpload(u.id);
  };
  addEventListener("online", goOn);
  const off = made.on("status", (now) => now.state === "open" && goOn());
  return () => {
    off();
    removeEventListener("online", goOn);
    removeEventListener("beforeunload", warn);
    for (const { id } of uploads.peek()) void cancelUpload(id);
  };
});
