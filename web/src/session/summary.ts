/** An entry in one line: for the list, a notification, a reply, a search hit. */

import type { Entry, Json } from "@hongyan/sdk";
import { dictionary } from "../ui/index.js";
import { nameOf } from "./people.js";
import { me } from "./session.js";

export interface Blob {
  digest: string;
  size: number;
  media_type: string;
  name?: string;
}

/** What a message may contain; fields that hold their default are missing. */
export type Content =
  | { type: "text"; text: string }
  | { type: "image"; blob: Blob; width?: number; height?: number; preview?: string | null; caption?: string; placeholder?: string }
  | { type: "file"; blob: Blob; caption?: string }
  | { type: "voice"; blob: Blob; duration_ms: number; text?: string }
  | { type: "video"; blob: Blob; duration_ms?: number; width?: number; height?: number; preview?: string | null; caption?: string; placeholder?: string }
  | { type: "location"; lat: number; lon: number; title?: string; address?: string }
  | { type: "card"; of: string; title: string; ref?: string; text?: string; url?: string; image?: string | null }
  | { type: "custom"; of: string; data: Json; text?: string }
  | { type: "merged"; items: { author: string; at: number; content: Content }[]; title?: string; depth?: number };

/** The body of a `message` or `edit` entry. */
export interface MessageBody {
  content?: Content;
  reply?: { seq: number; author: string; quote?: string };
  mentions?: string[];
  mention_all?: boolean;
  forward?: { author: string; at: number };
  silent?: boolean;
  edited_at?: number;
}

const words = dictionary(
  {
    image: "Photo",
    file: "File",
    voice: "Voice message",
    video: "Video",
    location: "Location",
    merged: (n: number) => `Chat history (${n})`,
    custom: "Message of a kind this app does not show",
    recalled: (who: string) => `${who} recalled a message`,
    youRecalled: "You recalled a message",
    you: "You",
  },
  {
    image: "图片",
    file: "文件",
    voice: "语音",
    video: "视频",
    location: "位置",
    merged: (n: number) => `聊天记录（${n} 条）`,
    custom: "暂不支持的消息",
    recalled: (who: string) => `${who} 撤回了一条消息`,
    youRecalled: "你撤回了一条消息",
    you: "你",
  },
);

const tag = (word: string, more: string | undefined) => (more ? `[${word}] ${more}` : `[${word}]`);

/** A content in one line of plain text. */
export function contentLine(content: Content | undefined): string {
  const w = words();
  switch (content?.type) {
    case "text":
      return content.text;
    case "image":
      return tag(w.image, content.caption);
    case "file":
      return tag(w.file, content.caption || content.blob.name);
    case "voice":
      return tag(w.voice, content.text);
    case "video":
      return tag(w.video, content.caption);
    case "location":
      return tag(w.location, content.title || content.address);
    case "card":
      return content.title;
    case "merged":
      return tag(w.merged(content.items.length), content.title);
    case "custom":
      return content.text || `[${w.custom}]`;
    default:
      return `[${w.custom}]`;
  }
}

/** What happened, in one line without who said it. "" for what has nothing to show. */
export function entryLine(entry: Entry): string {
  if (entry.type !== "message") return "";
  const { content } = entry.body as MessageBody;
  if (content) return contentLine(content);
  if (entry.from === me.value?.user) return words().youRecalled;
  return words().recalled(nameOf(entry.from));
}

/** Likewise with the author in front, as a list of groups shows it. */
export function entryLineBy(entry: Entry): string {
  const { content } = entry.body as MessageBody;
  const line = entryLine(entry);
  if (!line || !content) return line;
  return `${entry.from === me.value?.user ? words().you : nameOf(entry.from)}: ${line}`;
}
