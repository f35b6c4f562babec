import { reasonOf } from "../session/index.js";
import { toast } from "../ui/index.js";

/** The code of a refusal, of the wire or of HTTP; 0 where the error is none. */
export function codeOf(error: unknown): number {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : 0;
  return typeof code === "number" ? code : 0;
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
