/** Why something was refused, in the person's language where the code says enough. */

import { dictionary } from "../ui/index.js";

const words = dictionary(
  {
    105: "This server is too old for that.",
    108: "This conversation does not exist.",
    109: "This message is not there any more.",
    111: "It is too late for that.",
    112: "That cannot be done any more.",
    113: "There is no room for more here.",
    114: "There is no such person.",
    201: "Your login is over. Please log in again.",
    202: "You are not in this conversation any more.",
    203: "Only admins may do that.",
    204: "You may not write here for now.",
    205: "This person does not take messages from you.",
    206: "This device was logged out: its login was ended, or a newer one took its place.",
    207: "This account is disabled. Ask the administrator.",
    208: "User name or password is wrong.",
    209: "You are not allowed to do that.",
    303: "That was too fast. Wait a moment.",
    304: "The server is busy. Try again soon.",
    offline: "There is no connection to the server.",
    server: "The server had a problem. Try again in a moment.",
    link: "This login link is wrong, used or too old. Ask for a new one.",
  } as Record<string, string>,
  {
    105: "服务器版本过低，暂不支持此操作。",
    108: "会话不存在。",
    109: "该消息已不存在。",
    111: "已超过可操作的时间。",
    112: "当前状态下无法操作。",
    113: "已达到数量上限。",
    114: "用户不存在。",
    201: "登录已失效，请重新登录。",
    202: "你已不在此会话中。",
    203: "只有管理员可以执行此操作。",
    204: "你已被禁言。",
    205: "对方已拒收你的消息。",
    206: "本设备已退出登录：登录被终止，或在别处有新的登录。",
    207: "账号已被停用，请联系管理员。",
    208: "用户名或密码不正确。",
    209: "没有权限进行此操作。",
    303: "操作太频繁，请稍候。",
    304: "服务器繁忙，请稍后再试。",
    offline: "无法连接服务器。",
    server: "服务器出了点问题，请稍后再试。",
    link: "登录链接错误、已使用或已过期，请重新获取。",
  },
);

/** Words for a wire code; `text` where there are none. */
export function reasonFor(code: number | undefined, text: string): string {
  return words()[String(code)] ?? text;
}

/** Words for what was thrown by the SDK, by `fetch`, or by this app. */
export function reasonOf(error: unknown): string {
  const lost = error instanceof TypeError || (error instanceof Error && error.name === "Offline");
  if (lost) return words()["offline"] ?? error.message; // a TypeError: fetch without a network
  const { code, message, status } = error as { code?: unknown; message?: unknown; status?: unknown };
  if (!code && typeof status === "number" && status >= 500) return words()["server"] ?? String(message);
  return reasonFor(typeof code === "number" ? code : undefined, typeof message === "string" ? message : String(error));
}

/** Words for why a one-click link did not log in. */
export function reasonOfLink(error: unknown): string {
  const wrong = (error as { code?: unknown }).code === 208; // as a password would be
  return (wrong && words()["link"]) || reasonOf(error);
}
