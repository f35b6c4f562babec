/** The row of reactions above a message's menu. */

import type { ComponentChildren } from "preact";
import { Icon } from "../ui/index.js";
import { openEmoji } from "./EmojiPicker.js";
import { reactionsOf } from "./folded.js";
import type { MessageItem } from "./items.js";
import { words } from "./words.js";

const QUICK = ["👍", "❤️", "😂", "🎉", "😮", "🙏"];

export function quickReactions(
  item: MessageItem,
  react: (emoji: string, on: boolean) => void,
  self: string,
): (close: () => void) => ComponentChildren {
  const mine = new Set(reactionsOf(item.shown, self).filter((r) => r.mine).map((r) => r.emoji));
  return (close) => (
    <div class="quick-react" role="group" aria-label={words().react}>
      {QUICK.map((emoji) => (
        <button
          key={emoji}
          type="button"
          class="quick-one"
          aria-pressed={mine.has(emoji)}
          aria-label={emoji}
          onClick={() => {
            close();
            react(emoji, !mine.has(emoji));
          }}
        >
          {emoji}
        </button>
      ))}
      <button
        type="button"
        class="quick-one"
        aria-label={words().moreReactions}
        title={words().moreReactions}
        onClick={(e) => {
          const box = e.currentTarget.getBoundingClientRect();
          close();
          openEmoji({ x: box.left, y: box.bottom }, (emoji) => react(emoji, true));
        }}
      >
        <Icon name="plus" size={18} />
      </button>
    </div>
  );
}
