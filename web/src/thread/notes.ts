/** What happened to a group, in one sentence. */

import type { Entry } from "@hongyan/sdk";
import { me, nameOf } from "../session/index.js";
import { dictionary, fullWhen, lang } from "../ui/index.js";

const words = dictionary(
  {
    you: "You",
    youObject: "you",
    created: (a: string) => `${a} created the group`,
    invited: (a: string, b: string) => `${a} added ${b}`,
    joined: (b: string) => `${b} joined`,
    approved: (a: string, b: string) => `${a} let ${b} in`,
    left: (a: string) => `${a} left`,
    removed: (a: string, b: string) => `${a} removed ${b}`,
    owner: (b: string) => `New owner: ${b}`,
    admin: (b: string) => `New admin: ${b}`,
    member: (b: string) => `No admin any more: ${b}`,
    muted: (b: string, until: string) => `${b} may not write until ${until}`,
    unmuted: (b: string) => `${b} may write again`,
    title: (a: string, t: string) => `${a} changed the title to “${t}”`,
    avatar: (a: string) => `${a} changed the picture`,
    notice: (a: string, t: string) => `${a} changed the announcement: ${t}`,
    noNotice: (a: string) => `${a} took the announcement away`,
    muteAll: (a: string) => `${a} lets only admins write`,
    muteNone: (a: string) => `${a} lets everybody write`,
    linkOn: (a: string) => `${a} made an invitation link`,
    linkOff: (a: string) => `${a} took the invitation link away`,
    settings: (a: string) => `${a} changed the settings of the group`,
    dissolved: (a: string) => `${a} dissolved the group`,
    nickname: (a: string, n: string) => (n ? `${a} chose the nickname ${n}` : `${a} took the nickname away`),
    others: (names: string, n: number) => `${names} and ${n} others`,
  },
  {
    you: "你",
    youObject: "你",
    created: (a: string) => `${a} 创建了群聊`,
    invited: (a: string, b: string) => `${a} 邀请 ${b} 加入`,
    joined: (b: string) => `${b} 加入了群聊`,
    approved: (a: string, b: string) => `${a} 通过了 ${b} 的入群申请`,
    left: (a: string) => `${a} 退出了群聊`,
    removed: (a: string, b: string) => `${a} 将 ${b} 移出群聊`,
    owner: (b: string) => `${b} 成为群主`,
    admin: (b: string) => `${b} 成为管理员`,
    member: (b: string) => `${b} 不再是管理员`,
    muted: (b: string, until: string) => `${b} 被禁言至 ${until}`,
    unmuted: (b: string) => `${b} 被解除禁言`,
    title: (a: string, t: string) => `${a} 将群名改为“${t}”`,
    avatar: (a: string) => `${a} 更换了群头像`,
    notice: (a: string, t: string) => `${a} 更新了群公告：${t}`,
    noNotice: (a: string) => `${a} 清空了群公告`,
    muteAll: (a: string) => `${a} 开启了全员禁言`,
    muteNone: (a: string) => `${a} 关闭了全员禁言`,
    linkOn: (a: string) => `${a} 开启了邀请链接`,
    linkOff: (a: string) => `${a} 关闭了邀请链接`,
    settings: (a: string) => `${a} 修改了群设置`,
    dissolved: (a: string) => `${a} 解散了群聊`,
    nickname: (a: string, n: string) => (n ? `${a} 的群昵称改为 ${n}` : `${a} 清除了群昵称`),
    others: (names: string, n: number) => `${names} 等另外 ${n} 人`,
  },
);

interface NoteBody {
  users?: string[];
  members?: string[];
  how?: string;
  removed?: boolean;
  user?: string;
  role?: string;
  until?: number;
  name?: string;
  title?: string;
  avatar?: string;
  notice?: string;
  mute_all?: boolean;
  link?: boolean;
}

const NAMED = 4; // people that are named; the rest is counted
const SHORT = 80; // characters of an announcement

function who(user: string): string {
  return user === me.value?.user ? words().you : nameOf(user);
}

function whom(users: readonly string[]): string {
  const named = users
    .slice(0, NAMED)
    .map((u) => (u === me.value?.user ? words().youObject : nameOf(u)))
    .join(lang.value === "zh-CN" ? "、" : ", ");
  return users.length > NAMED ? words().others(named, users.length - NAMED) : named;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function changed(by: string, body: NoteBody): string {
  const w = words();
  if (body.title !== undefined) return w.title(by, body.title);
  if (body.avatar !== undefined) return w.avatar(by);
  if (body.notice !== undefined) {
    return body.notice ? w.notice(by, body.notice.slice(0, SHORT)) : w.noNotice(by);
  }
  if (body.mute_all !== undefined) return body.mute_all ? w.muteAll(by) : w.muteNone(by);
  if (body.link !== undefined) return body.link ? w.linkOn(by) : w.linkOff(by);
  return w.settings(by);
}

/** The sentence; "" for an entry that has none. */
export function noteOf(entry: Entry): string {
  const w = words();
  const body = (entry.body ?? {}) as NoteBody;
  const by = who(entry.from);
  const users = body.users ?? [];
  switch (entry.type) {
    case "created":
      return w.created(by);
    case "joined":
      if (body.how === "approve") return w.approved(by, whom(users));
      return body.how === "open" || body.how === "link" || (users.length === 1 && users[0] === entry.from)
        ? capital(w.joined(whom(users)))
        : w.invited(by, whom(users));
    case "left":
      return body.removed ? w.removed(by, whom(users)) : capital(w.left(whom(users.length ? users : [entry.from])));
    case "role": {
      const name = who(body.user ?? "");
      return body.role === "owner" ? w.owner(name) : body.role === "admin" ? w.admin(name) : w.member(name);
    }
    case "muted":
      return body.until ? w.muted(who(body.user ?? ""), fullWhen(body.until)) : w.unmuted(who(body.user ?? ""));
    case "changed":
      return changed(by, body);
    case "dissolved":
      return w.dissolved(by);
    case "nickname":
      return w.nickname(by, body.name ?? "");
    default:
      return "";
  }
}
