/** Pictures, files and links of a conversation. */

import { useState } from "preact/hooks";
import { tried } from "../login/tried.js";
import { fileLink, linkTo, nameOf, openChat, panel, phone } from "../session/index.js";
import { Button, duration, EmptyState, fileSize, fullWhen, Icon, IconButton, shortWhen, Spinner } from "../ui/index.js";
import { words } from "./detailWords.js";
import type { Kept } from "./kept.js";
import { useMedia } from "./media.js";

type Tab = "media" | "files" | "links";
const TABS: readonly Tab[] = ["media", "files", "links"];

function show(log: string, seq: number): void {
  if (phone.value) panel.value = null;
  openChat(log, seq);
}

export function MediaView({ log }: { log: string }) {
  const w = words();
  const [tab, setTab] = useState<Tab>("media");
  const [media, older] = useMedia(log);
  const counts = { media: media.pictures.length, files: media.files.length, links: media.links.length };
  const none = { media: w.noMedia, files: w.noFiles, links: w.noLinks }[tab];
  return (
    <>
      <div class="search-scope" role="group" aria-label={w.pictures}>
        {TABS.map((name) => (
          <button key={name} type="button" class="list-filter" aria-pressed={tab === name} onClick={() => setTab(name)}>
            {w[name]}
            {counts[name] > 0 && <span class="details-n">{counts[name]}</span>}
          </button>
        ))}
      </div>
      <div class="list-scroll">
        {tab === "media" && (
          <ul class="media-grid">
            {media.pictures.map((kept) => (
              <li key={kept.entry.seq}>
                <Thumb kept={kept} log={log} />
              </li>
            ))}
          </ul>
        )}
        {tab === "files" && (
          <ul>
            {media.files.map((kept) => (
              <FileRow key={kept.entry.seq} kept={kept} log={log} />
            ))}
          </ul>
        )}
        {tab === "links" && (
          <ul>
            {media.links.map(({ entry, url }, i) => (
              <li key={`${entry.seq} ${i}`} class="hit hit-still">
                <span class="hit-icon">
                  <Icon name="link" size={20} />
                </span>
                <span class="hit-main">
                  <a class="ellipsis" href={url} target="_blank" rel="noopener noreferrer nofollow">
                    {url.replace(/^https?:\/\//, "")}
                  </a>
                  <span class="hit-id ellipsis">{`${nameOf(entry.from)} · ${shortWhen(entry.at)}`}</span>
                </span>
                <IconButton icon="right" size={18} label={w.showIn} onClick={() => show(log, entry.seq)} />
              </li>
            ))}
          </ul>
        )}
        {media.error && (
          <p class="found-note" role="alert">
            {media.error}
          </p>
        )}
        {media.busy && (
          <div class="found-note">
            <Spinner size="s" />
          </div>
        )}
        {!media.busy && !media.error && counts[tab] === 0 && (
          <div class="details-empty">
            <EmptyState icon={tab === "media" ? "image" : tab === "files" ? "file" : "link"} title={none} />
          </div>
        )}
        {media.more && !media.busy && (
          <div class="found-note">
            <Button onClick={older}>{w.older}</Button>
          </div>
        )}
      </div>
    </>
  );
}

function Thumb({ kept, log }: { kept: Kept; log: string }) {
  const w = words();
  const { entry, content } = kept;
  if (content.type !== "image" && content.type !== "video") return null;
  const digest = content.preview || (content.type === "image" ? content.blob.digest : "");
  const url = digest ? fileLink({ log, seq: entry.seq, digest }).value : "";
  return (
    <button
      type="button"
      class="media-thumb"
      aria-label={w.photo(nameOf(entry.from), fullWhen(entry.at))}
      onClick={() => show(log, entry.seq)}
    >
      {url ? <img src={url} alt="" loading="lazy" /> : <Icon name="image" size={26} />}
      {content.type === "video" && (
        <span class="media-film">
          <Icon name="play" size={14} /> {duration(content.duration_ms ?? 0)}
        </span>
      )}
    </button>
  );
}

function FileRow({ kept, log }: { kept: Kept; log: string }) {
  const w = words();
  const { entry, content } = kept;
  if (content.type !== "file") return null;
  const { blob } = content;
  const download = async () => {
    const url = await linkTo({ log, seq: entry.seq, digest: blob.digest });
    const link = document.createElement("a");
    link.href = url;
    link.download = blob.name ?? "";
    link.click();
  };
  return (
    <li class="hit-with">
      <button type="button" class="hit hit-one" onClick={() => void tried(download())}>
        <span class="hit-icon">
          <Icon name="file" size={20} />
        </span>
        <span class="hit-main">
          <span class="hit-title ellipsis">{blob.name || content.caption}</span>
          <span class="hit-id ellipsis">{`${fileSize(blob.size)} · ${nameOf(entry.from)} · ${shortWhen(entry.at)}`}</span>
        </span>
      </button>
      <IconButton icon="right" size={18} label={w.showIn} onClick={() => show(log, entry.seq)} />
    </li>
  );
}
