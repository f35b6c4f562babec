/** Codes of the wire, and errors of other tabs, to classes. */

import { REFUSALS } from "./errors.gen.js";
import * as local from "./refusal.js";
import { BadRequest, Denied, Refusal, Transient } from "./refusal.js";

const BY_CODE = new Map<number, typeof Refusal>(REFUSALS.map((kind) => [kind.code, kind]));
const FAMILIES: (typeof Refusal | undefined)[] = [undefined, BadRequest, Denied, Transient];
const LOCAL = [local.Offline, local.OutboxFull, local.WrongUser, local.LoggedOut];

/** The refusal of a code; one that is not known becomes its family, with the code kept. */
export function refusalOf(code: number, text: string, retryAfterMs = 0): Refusal {
  const family = code === Refusal.code ? undefined : FAMILIES[Math.floor(code / 100)];
  const Kind = BY_CODE.get(code) ?? family ?? Refusal;
  return new Kind(text, { code, retryAfterMs });
}

/** An error as it travels between tabs. */
export interface TabError {
  label: string;
  code: number;
  text: string;
  retryAfterMs: number;
}

export function errorToTab(error: unknown): TabError {
  const refusal = error instanceof Refusal ? error : undefined;
  return {
    label: error instanceof Error ? error.name : "",
    code: refusal?.code ?? Refusal.code,
    text: error instanceof Error ? error.message : String(error),
    retryAfterMs: refusal?.retryAfterMs ?? 0,
  };
}

export function errorFromTab({ label, code, text, retryAfterMs }: TabError): Error {
  if (label === "Stopped") return new local.Stopped(text);
  const Local = LOCAL.find((kind) => kind.label === label);
  return Local ? new Local(text, { retryAfterMs }) : refusalOf(code, text, retryAfterMs);
}
