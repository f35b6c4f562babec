/** Pictures and films in a message. */

import { useState } from "preact/hooks";
import { fileLink, forgetLink, linkTo, status, type Content } from "../session/index.js";
import { duration, Icon, toast } from "../ui/index.js";
import { boxOf } from "./box.js";
import { localUrl } from "./local.js";
import { openLightbox } from "./Lightbox.js";
import { sketch } from "./placeholder.js";
import { words } from "./words.js";

/** Where a content stands: its files are for those who may read that entry. */
export interface Where {
  log: string;
  /** 0 for what is not sent yet. */
  seq: number;
}

/**
 * URL of a file as a signal read: the local one, or a signed link. Without a network there is no
 * link; then the address alone, which the service worker answers if it has kept the file.
 */
export function useFile(where: Where, digest: string | null | undefined): string {
  if (!digest) return "";
  const here = localUrl(digest);
  if (here || !where.seq) return here;
  const link = fileLink({ ...where, digest }).value;
  return link || (status.value.state === "open" ? "" : `/files/${digest}`);
}

type ImageContent = Extract<Content, { type: "image" }>;
type VideoContent = Extract<Content, { type: "video" }>;

/** The sketch as background until the picture covers it. */
function sketchStyle(content: { placeholder?: string }, covered: boolean): Record<string, string> {
  const url = covered ? "" : sketch(content.placeholder);
  return url ? { background: `center / cover url("${url}")`, animation: "none" } : { background: "", animation: "" };
}

export function ImageBody({ content, where }: { content: ImageContent; where: Where }) {
  const [loaded, setLoaded] = useState(false);
  const [broken, setBroken] = useState("");
  const { width, height } = boxOf(content);
  const digest = localUrl(content.blob.digest) ? content.blob.digest : content.preview || content.blob.digest;
  const src = useFile(where, digest);
  return (
    <button
      type="button"
      class={`pic ${loaded ? "" : src && src === broken ? "pic-broken" : "pic-wait"}`}
      style={{ width: `${width}px`, aspectRatio: `${width} / ${height}`, ...sketchStyle(content, loaded) }}
      aria-label={words().openPhoto(content.blob.name ?? "")}
      onClick={() => openLightbox(where, content.blob.digest)}
    >
      {src && src !== broken && (
        <img
          src={src}
          alt=""
          draggable={false}
          onLoad={() => setLoaded(true)}
          onError={() => {
            setBroken(src);
            if (where.seq) forgetLink({ ...where, digest });
          }}
        />
      )}
      {src && src === broken && <Icon name="image" size={34} />}
    </button>
  );
}

export function VideoBody({ content, where }: { content: VideoContent; where: Where }) {
  const [src, setSrc] = useState("");
  const { width, height } = boxOf(content);
  const poster = useFile(where, content.preview);
  const still = useFile(where, content.preview ? "" : content.blob.digest);
  const style = { width: `${width}px`, aspectRatio: `${width} / ${height}`, ...sketchStyle(content, false) };
  if (src) {
    return (
      <video class="pic" style={style} src={src} poster={poster || undefined} controls autoplay playsInline />
    );
  }
  const play = async () => {
    try {
      const url = localUrl(content.blob.digest) || (await linkTo({ ...where, digest: content.blob.digest }));
      if (url) setSrc(url);
      else toast(words().noLink, { kind: "bad" });
    } catch {
      toast(words().noLink, { kind: "bad" });
    }
  };
  return (
    <button type="button" class="pic pic-film" style={style} onClick={play}>
      <span class="unseen">{words().playVideo}</span>
      {poster && <img src={poster} alt="" draggable={false} />}
      {still && <video src={`${still}#t=0.1`} preload="metadata" muted playsInline tabIndex={-1} aria-hidden="true" />}
      <span class="pic-play">
        <Icon name="play" size={26} />
      </span>
      {Boolean(content.duration_ms) && <span class="pic-time">{duration(content.duration_ms ?? 0)}</span>}
    </button>
  );
}
