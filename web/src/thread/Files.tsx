/** Files and voice messages. */

import { useEffect, useRef, useState } from "preact/hooks";
import { linkTo, type Blob as FileBlob, type Content } from "../session/index.js";
import { duration, fileSize, Icon, toast } from "../ui/index.js";
import { localUrl } from "./local.js";
import type { Where } from "./Media.js";
import { words } from "./words.js";

/** Save a file as the browser does with downloads. */
export async function download(where: Where, blob: FileBlob): Promise<void> {
  try {
    const url = localUrl(blob.digest) || (await linkTo({ ...where, digest: blob.digest, download: true }));
    if (!url) throw new Error("gone");
    const a = document.createElement("a");
    a.href = url;
    a.download = blob.name || blob.digest.slice(0, 12);
    a.rel = "noopener";
    a.click();
  } catch {
    toast(words().noLink, { kind: "bad" });
  }
}

function ending(name: string): string {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? name.slice(dot + 1, dot + 5).toUpperCase() : "";
}

const HUES: [RegExp, number][] = [
  [/pdf/, 0],
  [/zip|rar|7z|tar|gzip/, 2],
  [/sheet|excel|csv/, 3],
  [/word|document|text/, 5],
  [/presentation|powerpoint/, 1],
  [/audio|video/, 7],
];

export function FileBody({ blob, where }: { blob: FileBlob; where: Where }) {
  const name = blob.name || words().file;
  const hue = HUES.find(([type]) => type.test(blob.media_type))?.[1] ?? 4;
  return (
    <button type="button" class="file" onClick={() => void download(where, blob)}>
      <span class="unseen">{words().downloadShort}</span>
      <span class={`file-icon face-${hue}`} aria-hidden="true">
        {ending(name) ? <b>{ending(name)}</b> : <Icon name="file" size={22} />}
      </span>
      <span class="file-words">
        <span class="file-name">{name}</span>
        <span class="file-size">{fileSize(blob.size)}</span>
      </span>
      {where.seq > 0 && <Icon name="download" size={19} class="file-get" />}
    </button>
  );
}

let playing: HTMLAudioElement | null = null; // one at a time

export function VoiceBody({ content, where }: { content: Extract<Content, { type: "voice" }>; where: Where }) {
  const audio = useRef<HTMLAudioElement | null>(null);
  const [on, setOn] = useState(false);
  const [at, setAt] = useState(0); // ms
  const long = content.duration_ms || 1;

  useEffect(() => () => audio.current?.pause(), []);

  const element = async (): Promise<HTMLAudioElement> => {
    if (audio.current) return audio.current;
    const url = localUrl(content.blob.digest) || (await linkTo({ ...where, digest: content.blob.digest }));
    if (!url) throw new Error("gone");
    const made = new Audio(url);
    made.onplay = () => setOn(true);
    made.onpause = () => setOn(false);
    made.ontimeupdate = () => setAt(made.currentTime * 1000);
    made.onended = () => setAt(0);
    audio.current = made;
    return made;
  };
  const toggle = async () => {
    try {
      const made = await element();
      if (!made.paused) return made.pause();
      if (playing && playing !== made) playing.pause();
      playing = made;
      await made.play();
    } catch {
      toast(words().noLink, { kind: "bad" });
    }
  };
  const seek = async (ms: number) => {
    const made = await element();
    made.currentTime = ms / 1000;
    setAt(ms);
  };
  return (
    <div class="voice">
      <button type="button" class="voice-play" aria-label={on ? words().pause : words().play} onClick={() => void toggle()}>
        <Icon name={on ? "pause" : "play"} size={20} />
      </button>
      <input
        type="range"
        class="voice-bar"
        aria-label={words().position}
        aria-valuetext={duration(at)}
        min={0}
        max={long}
        step={100}
        value={Math.min(at, long)}
        style={{ "--done": `${Math.min(100, (at / long) * 100)}%` }}
        onInput={(e) => void seek(Number(e.currentTarget.value)).catch(() => undefined)}
      />
      <span class="voice-time">{duration(on || at ? at : long)}</span>
      {content.text && <p class="voice-text">{content.text}</p>}
    </div>
  );
}
