import { useState } from "preact/hooks";
import "./controls.css";

/** 0 to 7, always the same for the same text: which colour a person has. */
export function hue(text: string): number {
  let h = 7;
  for (let i = 0; i < text.length; i += 1) h = (Math.imul(h, 31) + text.charCodeAt(i)) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b); // mixed: the low bits alone are much alike
  return (Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 16) % 8;
}

/** One or two letters that stand for a name; for Chinese names the last two signs. */
export function initials(name: string): string {
  const clean = name.trim();
  if (!clean) return "?";
  if (/^\p{Script=Han}+$/u.test(clean)) return [...clean].slice(-2).join("");
  const parts = clean.split(/[\s._-]+/).filter(Boolean);
  const first = [...(parts[0] ?? clean)][0] ?? "?";
  const second = parts.length > 1 ? ([...(parts[parts.length - 1] ?? "")][0] ?? "") : "";
  return (first + second).toUpperCase();
}

export interface AvatarProps {
  /** Its initials are shown until `src` is loaded, or when there is none. */
  name: string;
  /** Chooses the colour: an id that does not change. */
  id: string;
  src?: string | undefined;
  size?: 24 | 28 | 32 | 36 | 40 | 48 | 72 | 96;
  online?: boolean;
  class?: string;
}

/** Decoration: whoever uses it writes the name beside it. */
export function Avatar(props: AvatarProps) {
  const [broken, setBroken] = useState("");
  const good = props.src && props.src !== broken;
  return (
    <span class={`avatar avatar-${props.size ?? 40} face-${hue(props.id)} ${props.class ?? ""}`} aria-hidden="true">
      {good ? (
        <img src={props.src} alt="" draggable={false} onError={() => setBroken(props.src ?? "")} />
      ) : (
        <span class="avatar-letters">{initials(props.name)}</span>
      )}
      {props.online && <span class="avatar-online" />}
    </span>
  );
}
