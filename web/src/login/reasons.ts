/** Why something was not done, in words that help a person: by the code of the refusal. */

import { dictionary, toast } from "../ui/index.js";

const words = dictionary<{ [code: number]: string } & Record<"offline" | "server", string>>(
  {
    105: "This server is too old for that.",
    108: "This conversation does not exist.",
    109: "The message is not there any more.",
    111: "It is too late for that.",
    112: "That is not possible in the present state of the conversation.",
    113: "A limit is reached.",
    114: "There is no such user.",
    201: "Your login is over. Please log in again.",
    202: "You are not a member of this conversation.",
    203: "Only admins may do that.",
    204: "You cannot speak here at the moment.",
    205: "This person does not take messages or invitations from you.",
    207: "This account is disabled. Ask the administrator.",
    208: "User name or password is wrong.",
    209: "You are not allowed to do that.",
    303: "Too many tries. Wait a moment, then try again.",
    304: "The server is busy. Try again in a moment.",
    offline: "No connection to the server. Check the network and try again.",
    server: "The server had a problem. Try again in a moment.",
  },
  {
    105: "服务器版本过低，暂不支持此操作。",
    108: "会话不存在。",
    109: "消息已不存在。",
    111: "已超过可操作的时间。",
    112: "会话当前状态下无法进行此操作。",
    113: "已达到上限。",
    114: "没有这个用户。",
    201: "登录已失效，请重新登录。",
    202: "你不在此会话中。",
    203: "只有管理员可以进行此操作。",
    204: "你暂时不能在此发言。",
    205: "对方不接收你的消息或邀请。",
    207: "账号已被停用，请联系管理员。",
    208: "用户名或密码不正确。",
    209: "没有权限进行此操作。",
    303: "尝试次数过多，请稍后再试。",
    304: "服务器繁忙，请稍后再试。",
    offline: "无法连接服务器，请检查网络后重试。",
    server: "服务器出了点问题，请稍后再试。",
  },
);

/** The code of a refusal, of the wire or of HTTP; 0 where the error is none. */
export function codeOf(error: unknown): number {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : 0;
  return typeof code === "number" ? code : 0;
}

/** What to tell the person. Codes without words of their own are told in the server's. */
export function reasonOf(error: unknown): string {
  const known = words()[codeOf(error)];
  if (known) return known;
  if (error instanceof TypeError || (error instanceof Error && error.name === "Offline")) {
    return words().offline; // what fetch throws without a network
  }
  if (!(error instanceof Error)) return words().server;
  const status = "status" in error ? error.status : 0;
  if (typeof status === "number" && status >= 500) return words().server;
  return error.message;
}

/** Do something, and say why when it was refused; resolves whether it was done. */
export async function tried(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    toast(reasonOf(error), { kind: "bad" });
    return false;
  }
}
