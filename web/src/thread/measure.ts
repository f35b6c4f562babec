/** What a picture or film measures, found out by the browser before it is uploaded. */

import { localUrl } from "./local.js";
import type { FileKind } from "./uploads.js";

export interface Measured {
  width: number;
  height: number;
  durationMs: number;
}

const PATIENCE = 4000; // ms; after that it is sent without

/** Width, height and duration; 0 for what cannot be told. Never fails. */
export async function measure(kind: FileKind, file: File, id: string): Promise<Measured> {
  const nothing = { width: 0, height: 0, durationMs: 0 };
  if (kind === "image") {
    try {
      const bitmap = await createImageBitmap(file);
      const { width, height } = bitmap;
      bitmap.close();
      return { width, height, durationMs: 0 };
    } catch {
      return nothing; // a picture this browser does not know
    }
  }
  if (kind !== "video") return nothing;
  const video = document.createElement("video");
  video.preload = "metadata";
  video.muted = true;
  return new Promise((resolve) => {
    const done = () => {
      const seconds = Number.isFinite(video.duration) ? video.duration : 0;
      resolve({
        width: video.videoWidth,
        height: video.videoHeight,
        durationMs: Math.round(seconds * 1000),
      });
      video.removeAttribute("src");
    };
    video.onloadedmetadata = done;
    video.onerror = () => resolve(nothing);
    setTimeout(done, PATIENCE);
    video.src = localUrl(`local:${id}`);
  });
}
