/** What a message contains, drawn by its type. */

import { useState } from "preact/hooks";
import { contentLine, nameOf, UserAvatar, type Content, type MessageBody } from "../session/index.js";
import { Dialog, fullWhen, Icon, toast } from "../ui/index.js";
import { FileBody, VoiceBody } from "./Files.js";
import { safeHref } from "./linkify.js";
import { ImageBody, useFile, VideoBody, type Where } from "./Media.js";
import { TextBody, Unknown } from "./Text.js";
import { words } from "./words.js";

export function ContentBody({ body, where }: { body: MessageBody; where: Where }) {
  const { content } = body;
  switch (content?.type) {
    case "text":
      return <TextBody text={content.text} mentions={body.mentions} all={body.mention_all} />;
    case "image":
      return (
        <>
          <ImageBody content={content} where={where} />
          <Caption text={content.caption} />
        </>
      );
    case "video":
      return (
        <>
          <VideoBody content={content} where={where} />
          <Caption text={content.caption} />
        </>
      );
    case "file":
      return (
        <>
          <FileBody blob={content.blob} where={where} />
          <Caption text={content.caption} />
        </>
      );
    case "voice":
      return <VoiceBody content={content} where={where} />;
    case "location":
      return <PlaceBody content={content} />;
    case "card":
      return <CardBody content={content} where={where} />;
    case "merged":
      return <MergedBody content={content} where={where} />;
    case "custom":
      return content.text ? <TextBody text={content.text} /> : <Unknown />;
    default:
      return <Unknown />;
  }
}

/** Whether a content fills its bubble to the edge. */
export function isPicture(content: Content | undefined): boolean {
  return content?.type === "image" || content?.type === "video";
}

function Caption({ text }: { text: string | undefined }) {
  return text ? <TextBody text={text} /> : null;
}

function PlaceBody({ content }: { content: Extract<Content, { type: "location" }> }) {
  const spot = `${content.lat.toFixed(5)}, ${content.lon.toFixed(5)}`;
  const copy = () => {
    void navigator.clipboard.writeText(spot).then(() => toast(words().copied, { kind: "good" }));
  };
  return (
    <button type="button" class="card-box" title={words().copyPlace} onClick={copy}>
      <span class="card-icon">
        <Icon name="location" size={26} />
      </span>
      <span class="card-words">
        <b>{content.title || words().location}</b>
        {content.address && <span>{content.address}</span>}
        <small>{spot}</small>
      </span>
    </button>
  );
}

function CardBody({ content, where }: { content: Extract<Content, { type: "card" }>; where: Where }) {
  const image = useFile(where, content.image);
  const href = safeHref(content.url ?? "");
  return (
    <div class="card-box">
      {image ? (
        <img class="card-image" src={image} alt="" />
      ) : (
        <span class="card-icon">
          <Icon name={content.of === "group" ? "users" : content.of === "user" ? "user" : "card"} size={24} />
        </span>
      )}
      <span class="card-words">
        <small>{words().card[content.of] ?? content.of}</small>
        <b>{content.title}</b>
        {content.text && <span>{content.text}</span>}
        {href && (
          <a href={href} target="_blank" rel="noopener noreferrer nofollow">
            {words().openLink}
          </a>
        )}
      </span>
    </div>
  );
}

const LINES = 4; // of a bundle that are shown in its bubble

function MergedBody({ content, where }: { content: Extract<Content, { type: "merged" }>; where: Where }) {
  const [open, setOpen] = useState(false);
  const w = words();
  const title = content.title || w.merged;
  return (
    <>
      <button type="button" class="merged" aria-haspopup="dialog" onClick={() => setOpen(true)}>
        <b class="merged-title">{title}</b>
        {content.items.slice(0, LINES).map((item, n) => (
          <span key={n} class="merged-line ellipsis">
            {w.said(nameOf(item.author), contentLine(item.content))}
          </span>
        ))}
        <small class="merged-foot">{w.mergedCount(content.items.length)}</small>
      </button>
      {open && (
        <Dialog title={title} onClose={() => setOpen(false)}>
          <ul class="merged-all">
            {content.items.map((item, n) => (
              <li key={n} class="merged-item">
                <UserAvatar user={item.author} size={36} />
                <div class="merged-one">
                  <p class="merged-head">
                    <b class="ellipsis">{nameOf(item.author)}</b>
                    <time>{fullWhen(item.at)}</time>
                  </p>
                  <ContentBody body={{ content: item.content }} where={where} />
                </div>
              </li>
            ))}
          </ul>
        </Dialog>
      )}
    </>
  );
}
