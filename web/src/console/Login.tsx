/** Logging in as an administrator. */

import { useState } from "preact/hooks";
import { Button, dictionary, Input, Icon } from "../ui/index.js";
import { wordsOf } from "./loading.js";
import { logIn, logOut, me, Offline, Refused } from "./session.js";
import { words as common } from "./words.js";

const words = dictionary(
  {
    title: "hongyan console",
    text: "Log in as an administrator.",
    user: "User",
    password: "Password",
    tenant: "Tenant",
    another: "Another tenant than main",
    logIn: "Log in",
    notAdmin: (user: string) =>
      `${user} is no administrator. Log in as somebody who is, or go to the chat.`,
    other: "Log in as somebody else",
  },
  {
    title: "hongyan 控制台",
    text: "请以管理员身份登录。",
    user: "用户",
    password: "密码",
    tenant: "租户",
    another: "登录 main 以外的租户",
    logIn: "登录",
    notAdmin: (user: string) => `${user} 不是管理员。请用管理员账号登录，或前往聊天。`,
    other: "换一个账号",
  },
);

export function Login() {
  const w = words();
  const who = me.value;
  return (
    <main class="center">
      <div class="login">
        <svg width="52" height="52" viewBox="0 0 32 32" aria-hidden="true" class="brand-mark">
          <rect width="32" height="32" rx="9" />
          <path d="M5 19c5-1 8-4 11-9 1 3 1 5 0 7 4-2 7-2 11-1-4 1-7 3-9 6-4 4-9 2-13-3z" />
        </svg>
        <h1>{w.title}</h1>
        {who ? (
          <>
            <p class="login-text">{w.notAdmin(who.user)}</p>
            <Button kind="primary" wide onClick={() => void logOut()}>
              {w.other}
            </Button>
            <a class="login-link" href="/">
              {common().openApp}
            </a>
          </>
        ) : (
          <Form />
        )}
      </div>
    </main>
  );
}

function Form() {
  const w = words();
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [tenant, setTenant] = useState("");
  const [more, setMore] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const submit = async () => {
    setBusy(true);
    setError("");
    try {
      await logIn(user.trim(), password, tenant.trim());
    } catch (why) {
      if (!(why instanceof Refused || why instanceof Offline)) throw why;
      setError(wordsOf(why, common().offline));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      class="login-form"
      onSubmit={(e) => {
        e.preventDefault();
        void submit();
      }}
    >
      <p class="login-text">{w.text}</p>
      <Input label={w.user} value={user} onInput={setUser} required autofocus autocomplete="username" />
      <Input
        label={w.password}
        type="password"
        value={password}
        onInput={setPassword}
        required
        autocomplete="current-password"
      />
      {more ? (
        <Input label={w.tenant} value={tenant} onInput={setTenant} placeholder="main" />
      ) : (
        <button type="button" class="login-link" onClick={() => setMore(true)}>
          {w.another}
        </button>
      )}
      {error && (
        <p class="login-error" role="alert">
          <Icon name="warn" size={18} />
          {error}
        </p>
      )}
      <Button kind="primary" type="submit" wide busy={busy}>
        {w.logIn}
      </Button>
    </form>
  );
}
