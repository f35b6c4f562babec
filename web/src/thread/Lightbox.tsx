/** A picture in full, with the others of the thread beside it. Needs `LightboxHost` in the page. */

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { nameOf, type Blob as FileBlob } from "../session/index.js";
import { fullWhen, IconButton, Spinner } from "../ui/index.js";
import { download } from "./Files.js";
import { useFile, type Where } from "./Media.js";
import { words } from "./words.js";

export interface Picture extends Where {
  blob: FileBlob;
  from: string;
  at: number;
  caption: string;
  preview: string;
}

const shown = signal<{ where: Where; digest: string } | null>(null);

/** The pictures that can be turned over; set by the thread on the screen. */
export const pictures = signal<() => Picture[]>(() => []);

export function openLightbox(where: Where, digest: string): void {
  shown.value = { where, digest };
}

export function LightboxHost() {
  const now = shown.value;
  return now ? <Lightbox {...now} /> : null;
}

function Lightbox({ where, digest }: { where: Where; digest: string }) {
  const ref = useRef<HTMLDialogElement>(null);
  const [all] = useState(() => pictures.peek()());
  const [n, setN] = useState(() => all.findIndex((p) => p.seq === where.seq && p.blob.digest === digest));
  const [zoom, setZoom] = useState(1);
  const [shift, setShift] = useState({ x: 0, y: 0 });
  const drag = useRef<{ x: number; y: number } | null>(null);
  const [loaded, setLoaded] = useState("");
  const picture = all[n];
  const place = picture ?? where;
  const full = useFile(place, picture?.blob.digest ?? digest);
  const small = useFile(place, picture?.preview);
  const w = words();

  useEffect(() => {
    ref.current?.showModal();
    return () => ref.current?.close();
  }, []);

  const close = () => (shown.value = null);
  const turn = (by: number) => {
    if (n < 0 || !all[n + by]) return;
    setN(n + by);
    setZoom(1);
    setShift({ x: 0, y: 0 });
  };
  const zoomTo = (to: number) => {
    const next = Math.max(1, Math.min(6, to));
    setZoom(next);
    if (next === 1) setShift({ x: 0, y: 0 });
  };
  return (
    <dialog
      ref={ref}
      class="lightbox"
      aria-label={w.photo}
      onCancel={(e) => {
        e.preventDefault();
        close();
      }}
      onKeyDown={(e) => {
        if (e.key === "ArrowLeft") turn(-1);
        if (e.key === "ArrowRight") turn(1);
        if (e.key === "+" || e.key === "=") zoomTo(zoom * 1.5);
        if (e.key === "-") zoomTo(zoom / 1.5);
      }}
    >
      <header class="lightbox-head">
        <p class="lightbox-who">
          {picture && (
            <>
              <b>{nameOf(picture.from)}</b>
              <time>{fullWhen(picture.at)}</time>
            </>
          )}
        </p>
        <IconButton icon="zoom" label={zoom > 1 ? w.zoomOut : w.zoomIn} onClick={() => zoomTo(zoom > 1 ? 1 : 2)} />
        {picture && (
          <IconButton icon="download" label={w.downloadShort} onClick={() => void download(place, picture.blob)} />
        )}
        <IconButton icon="close" label={w.close} onClick={close} />
      </header>
      <div
        class={`lightbox-main ${zoom > 1 ? "lightbox-zoomed" : ""}`}
        onClick={(e) => e.target === e.currentTarget && zoom === 1 && close()}
        onWheel={(e) => zoomTo(zoom * (e.deltaY < 0 ? 1.15 : 1 / 1.15))}
        onPointerDown={(e) => {
          if (zoom > 1) drag.current = { x: e.clientX - shift.x, y: e.clientY - shift.y };
        }}
        onPointerMove={(e) => {
          if (drag.current) setShift({ x: e.clientX - drag.current.x, y: e.clientY - drag.current.y });
        }}
        onPointerUp={() => (drag.current = null)}
        onDblClick={() => zoomTo(zoom > 1 ? 1 : 2.5)}
      >
        {full ? (
          <img
            key={full}
            class="lightbox-pic"
            src={full}
            alt={picture?.caption || picture?.blob.name || w.photo}
            draggable={false}
            style={{ transform: `translate(${shift.x}px, ${shift.y}px) scale(${zoom})` }}
            onLoad={() => setLoaded(full)}
          />
        ) : null}
        {loaded !== full && (small ? <img class="lightbox-pic lightbox-small" src={small} alt="" /> : <Spinner size="l" />)}
        {n > 0 && <IconButton icon="back" label={w.previous} class="lightbox-turn lightbox-prev" onClick={() => turn(-1)} />}
        {n >= 0 && n < all.length - 1 && (
          <IconButton icon="right" label={w.next} class="lightbox-turn lightbox-next" onClick={() => turn(1)} />
        )}
      </div>
      {picture?.caption && <p class="lightbox-caption">{picture.caption}</p>}
    </dialog>
  );
}
