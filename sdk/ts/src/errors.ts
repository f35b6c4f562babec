/** Codes of the wire, and errors of other tabs, to classes. */

import { KINDS } from "./errors.gen.js";
import * as local from "./refusal.js";
import { family, Refusal } from "./refusal.js";

const LOCAL = [local.Offline, local.OutboxFull, local.WrongUser, local.LoggedOut];

/** The refusal of a code; one that is not known becomes its family, with the code kept. */
export function refusalOf(code: number, text: string, retryAfterMs = 0): Refusal {
  const Kind = [...KINDS.values()].find((kind) => kind.code === code) ?? family(code);
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
