/** How high a row will be, in px, before it is drawn: near enough that the scroll bar is calm. */

import type { MessageBody } from "../session/summary.js";
import type { Item } from "./items.js";
import { boxOf } from "./box.js";

const LINE = 21;
const SIGNS = 46; // characters of a line

function ofText(text: string): number {
  return text.split("\n").reduce((n, line) => n + Math.max(1, Math.ceil(line.length / SIGNS)), 0) * LINE;
}

function ofBody(body: MessageBody): number {
  const extra = (body.reply ? 46 : 0) + (body.forward ? 20 : 0);
  const { content } = body;
  switch (content?.type) {
    case "text":
      return extra + 18 + ofText(content.text);
    case "image":
    case "video":
      return extra + 8 + boxOf(content).height + (content.caption ? 12 + ofText(content.caption) : 0);
    case "merged":
      return extra + 130;
    default:
      return extra + 70;
  }
}

export function guess(item: Item): number {
  switch (item.kind) {
    case "day":
      return 46;
    case "unread":
      return 44;
    case "note":
      return 36;
    default:
      return ofBody(item.body) + (item.last ? 8 : 3);
  }
}
