/** A blurred sketch of a picture, 20-odd bytes in its message, shown until the picture is there. */

import { thumbHashToDataURL } from "thumbhash";

const LONGEST = 64; // characters: a real one has about 30
const KEPT = 500;
const made = new Map<string, string>();

/** A `data:` URL of a PNG; "" when there is no sketch or it is not one. */
export function sketch(placeholder: string | undefined): string {
  if (!placeholder || placeholder.length > LONGEST) return "";
  const known = made.get(placeholder);
  if (known !== undefined) return known;
  let url = "";
  try {
    const text = atob(placeholder.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
    if (bytes.length >= 5) url = thumbHashToDataURL(bytes);
  } catch {
    // written by somebody else's client: shown without
  }
  if (made.size >= KEPT) made.clear();
  made.set(placeholder, url);
  return url;
}
