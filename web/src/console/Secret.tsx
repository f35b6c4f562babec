/** A secret that is shown once. */

import { Button, Dialog, dictionary } from "../ui/index.js";
import { Copyable, Note } from "./parts.js";

const words = dictionary(
  {
    title: "The signing secret",
    text: "Give it to the receiver, who checks signatures with it. It is not shown again.",
    done: "I have it",
  },
  {
    title: "签名密钥",
    text: "请交给接收方用于校验签名。密钥不会再次显示。",
    done: "我已保存",
  },
);

export function SecretDialog({ secret, onClose }: { secret: string; onClose: () => void }) {
  const w = words();
  return (
    <Dialog
      title={w.title}
      onClose={onClose}
      actions={
        <Button kind="primary" onClick={onClose}>
          {w.done}
        </Button>
      }
    >
      <Note icon="warn">{w.text}</Note>
      <Copyable text={secret} label={w.title} />
    </Dialog>
  );
}

/** Names with commas or spaces between them. */
export function names(text: string): string[] {
  return text.split(/[\s,，、]+/).filter(Boolean);
}
