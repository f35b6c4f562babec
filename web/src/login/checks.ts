/** What is wrong with a login form before it is sent. Pure. */

import type { words } from "./words.js";

export type Mode = "log-in" | "sign-up" | "claim";

export interface LoginForm {
  user: string;
  password: string;
  again: string;
  name: string;
  code: string;
  tenant: string;
}

export type Wrong = Partial<Record<keyof LoginForm, string>>;

const USER = /^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}$/;
const LEAST = 8; // characters of a new password, as on the server

/** Fields and what is wrong with them, in the words of `w`; {} when the form may be sent. */
export function wrongIn(mode: Mode, form: LoginForm, w: ReturnType<typeof words>): Wrong {
  const wrong: Wrong = {};
  if (!form.user) wrong.user = w.needUser;
  else if (!USER.test(form.user)) wrong.user = w.badUser;
  if (!form.password) wrong.password = w.needPassword;
  if (mode === "log-in") return wrong;
  if (form.password && [...form.password].length < LEAST) wrong.password = w.shortPassword;
  else if (form.password && form.password.toLowerCase() === form.user.toLowerCase()) {
    wrong.password = w.samePassword;
  }
  if (!wrong.password && form.again !== form.password) wrong.again = w.differ;
  if (mode === "claim" && !form.code.trim()) wrong.code = w.needCode;
  return wrong;
}
