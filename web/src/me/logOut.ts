import { leaveForGood, outbox } from "../session/index.js";
import { confirm, dictionary } from "../ui/index.js";
import { tried } from "../login/tried.js";

const words = dictionary(
  {
    title: "Log out?",
    unsent: (n: number) =>
      n === 1 ? "One thing that you wrote was not sent yet. It will be lost." : `${n} things that you wrote were not sent yet. They will be lost.`,
    text: "What is kept on this device is deleted. Your messages stay on the server.",
    yes: "Log out",
  },
  {
    title: "退出登录？",
    unsent: (n: number) => `还有 ${n} 条内容没有发送，退出后将丢失。`,
    text: "本机保存的内容将被删除，服务器上的消息不受影响。",
    yes: "退出登录",
  },
);

/** Log out, after asking; says what would be lost. */
export async function askLogOut(): Promise<void> {
  const w = words();
  const n = outbox.peek().length;
  const sure = await confirm({ title: w.title, text: n ? w.unsent(n) : w.text, yes: w.yes, danger: true });
  if (sure) await tried(leaveForGood());
}
