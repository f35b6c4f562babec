/** Why something was refused, in the person's language where the code says enough. */

import { dictionary } from "../ui/index.js";

const words = dictionary(
  {
    109: "This message is not there any more.",
    111: "It is too late for that.",
    112: "That cannot be done any more.",
    113: "There is no room for more here.",
    114: "There is no such person.",
    202: "You are not in this conversation any more.",
    203: "Only admins may do that.",
    204: "You may not write here for now.",
    205: "This person does not take messages from you.",
    303: "That was too fast. Wait a moment.",
    304: "The server is busy. Try again soon.",
    offline: "There is no connection to the server.",
  } as Record<string, string>,
  {
    109: "该消息已不存在。",
    111: "已超过可操作的时间。",
    112: "当前状态下无法操作。",
    113: "已达到数量上限。",
    114: "用户不存在。",
    202: "你已不在此会话中。",
    203: "只有管理员可以执行此操作。",
    204: "你已被禁言。",
    205: "对方已拒收你的消息。",
    303: "操作太频繁，请稍候。",
    304: "服务器繁忙，请稍后再试。",
    offline: "无法连接服务器。",
  },
);

/** Words for a wire code; `text` where there are none. */
export function reasonFor(code: number | undefined, text: string): string {
  return words()[String(code)] ?? text;
}

/** Words for what was thrown by the SDK, by `fetch`, or by this app. */
export function reasonOf(error: unknown): string {
  if (error instanceof TypeError) return words()["offline"] ?? error.message; // fetch without a network
  const { code, message } = error as { code?: unknown; message?: unknown };
  return reasonFor(typeof code === "number" ? code : undefined, typeof message === "string" ? message : String(error));
}
