import { reasonOf } from "../session/index.js";
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { dictionary, Icon, toast } from "../ui/index.js";
import { uploadPicture } from "./picture.js";
import "./me.css";

const words = dictionary(
  { bad: "This file is no picture that can be shown." },
  { bad: "无法显示这个图片文件。" },
);

/** A picture that is changed by a click; `onPicture` gets the digest of the new one. */
export function PictureButton(props: {
  label: string;
  children: ComponentChildren;
  onPicture: (digest: string) => Promise<unknown>;
}) {
  const input = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const take = async (file: File | undefined) => {
    if (!file) return;
    setBusy(true);
    try {
      await props.onPicture(await uploadPicture(file));
    } catch (error) {
      const unread = error instanceof DOMException; // what decoding throws
      toast(unread ? words().bad : reasonOf(error), { kind: "bad" });
    }
    setBusy(false);
  };
  return (
    <span class="picture">
      {props.children}
      <button
        type="button"
        class="picture-do"
        aria-label={props.label}
        title={props.label}
        disabled={busy}
        onClick={() => input.current?.click()}
      >
        {busy ? <span class="spin spin-s" /> : <Icon name="image" size={18} />}
      </button>
      <input
        ref={input}
        type="file"
        accept="image/png,image/jpeg,image/gif,image/webp,image/avif"
        hidden
        aria-label={props.label}
        onChange={(e) => {
          void take(e.currentTarget.files?.[0]);
          e.currentTarget.value = "";
        }}
      />
    </span>
  );
}
