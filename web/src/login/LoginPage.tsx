/** Log in, make an account where that is open, or become the first administrator. */

import { useEffect, useRef, useState } from "preact/hooks";
import { claimAdmin, entered, HttpRefusal, logIn, outBecause, reasonOf, signUp } from "../session/index.js";
import { Button, Icon, Input, type LangChoice, langChoice, setLang } from "../ui/index.js";
import { type LoginForm, type Mode, type Wrong, wrongIn } from "./checks.js";
import { PasswordInput } from "./PasswordInput.js";
import { words } from "./words.js";
import "./login.css";

const EMPTY: LoginForm = { user: "", password: "", again: "", name: "", code: "", tenant: "main" };

/** Whether the server lets anybody make an account; false where it does not say. */
async function registrationOpen(): Promise<boolean> {
  try {
    const answer = await fetch("/v1/register");
    return answer.ok && ((await answer.json()) as { open?: boolean }).open === true;
  } catch {
    return false; // no network: the login itself will say so
  }
}

export function LoginPage() {
  const [mode, setMode] = useState<Mode>("log-in");
  const [open, setOpen] = useState<boolean | null>(null);
  useEffect(() => {
    void registrationOpen().then(setOpen);
  }, []);
  const w = words();
  return (
    <div class="login">
      <header class="login-top">
        <LanguagePicker />
      </header>
      <main class="login-card">
        <header class="login-head">
          <Mark />
          <h1>{w.brand}</h1>
          <p>{w.slogan}</p>
        </header>
        <LoginFields key={mode} mode={mode} />
        <nav class="login-more">
          {mode !== "log-in" && <Other mode="log-in" set={setMode} text={w.toLogIn} />}
          {mode === "log-in" && open && <Other mode="sign-up" set={setMode} text={w.toSignUp} />}
          {mode === "log-in" && open === false && <p>{w.closed}</p>}
          {mode === "log-in" && <Other mode="claim" set={setMode} text={w.toClaim} quiet />}
        </nav>
      </main>
    </div>
  );
}

function Other(props: { mode: Mode; set: (mode: Mode) => void; text: string; quiet?: boolean }) {
  return (
    <button
      type="button"
      class={`login-other ${props.quiet ? "login-quiet" : ""}`}
      onClick={() => props.set(props.mode)}
    >
      {props.text}
    </button>
  );
}

function LoginFields({ mode }: { mode: Mode }) {
  const [form, setForm] = useState(EMPTY);
  const [wrong, setWrong] = useState<Wrong>({});
  const [refused, setRefused] = useState(mode === "log-in" ? outBecause.peek() : "");
  const [busy, setBusy] = useState(false);
  const [elsewhere, setElsewhere] = useState(false);
  const box = useRef<HTMLFormElement>(null);
  const w = words();
  const field = (name: keyof LoginForm) => ({
    value: form[name],
    error: wrong[name],
    onInput: (value: string) => {
      setForm((was) => ({ ...was, [name]: value }));
      setWrong((was) => ({ ...was, [name]: undefined }));
    },
  });
  const focusWrong = () => {
    requestAnimationFrame(() =>
      box.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus(),
    );
  };
  const submit = async () => {
    if (busy) return;
    const found = wrongIn(mode, form, w);
    setWrong(found);
    setRefused("");
    if (Object.keys(found).length) return focusWrong();
    setBusy(true);
    try {
      await send(mode, form);
      await entered();
    } catch (error) {
      const [name, text] = explained(mode, error);
      if (name) setWrong({ [name]: text });
      else setRefused(text);
      setBusy(false);
      focusWrong();
    }
  };
  const isNew = mode !== "log-in";
  return (
    <form
      ref={box}
      class="login-form"
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        void submit();
      }}
    >
      {isNew && <h2>{mode === "claim" ? w.claim : w.signUp}</h2>}
      {refused && (
        <p class="login-refused" role="alert">
          <Icon name="warn" size={18} />
          <span>{refused}</span>
        </p>
      )}
      {mode === "claim" && <Input label={w.code} hint={w.codeHint} autofocus {...field("code")} />}
      <Input
        label={w.user}
        autocomplete="username"
        autofocus={mode !== "claim"}
        maxLength={64}
        {...field("user")}
      />
      {mode === "sign-up" && (
        <Input label={w.name} hint={w.nameHint} autocomplete="name" maxLength={64} {...field("name")} />
      )}
      <PasswordInput
        label={w.password}
        hint={isNew ? w.shortPassword : undefined}
        autocomplete={isNew ? "new-password" : "current-password"}
        {...field("password")}
      />
      {isNew && <PasswordInput label={w.again} autocomplete="new-password" {...field("again")} />}
      {elsewhere && mode !== "claim" && (
        <Input label={w.tenant} hint={w.tenantHint} maxLength={32} {...field("tenant")} />
      )}
      <Button kind="primary" type="submit" wide busy={busy}>
        {mode === "log-in" ? w.logIn : mode === "claim" ? w.claim : w.signUp}
      </Button>
      {!elsewhere && mode === "log-in" && (
        <button type="button" class="login-other login-quiet" onClick={() => setElsewhere(true)}>
          {w.other}
        </button>
      )}
    </form>
  );
}

async function send(mode: Mode, form: LoginForm): Promise<void> {
  const { user, password, name } = form;
  const tenant = form.tenant.trim() || "main";
  if (mode === "log-in") await logIn(user, password, tenant);
  else if (mode === "claim") await claimAdmin(form.code.trim(), user, password);
  else await signUp({ user, password, name: name.trim() || user, tenant });
}

/** The field an error is about ("" for none), and the words for it. */
function explained(mode: Mode, error: unknown): [keyof LoginForm | "", string] {
  const w = words();
  if (!(error instanceof HttpRefusal)) return ["", reasonOf(error)];
  if (error.status === 404 || error.status === 405) return ["", w.noLogin];
  if (error.code === 208 && mode === "claim") return ["code", w.wrongCode];
  if (error.code === 303 && error.retryAfterMs > 0) {
    return ["", w.wait(Math.ceil(error.retryAfterMs / 1000))];
  }
  if (mode === "sign-up" && error.code === 106) {
    return /taken/.test(error.message) ? ["user", w.taken] : ["password", error.message];
  }
  if (mode === "sign-up" && error.code === 209) return ["", w.closed];
  if (error.code === 107) return /tenant/.test(error.message) ? ["tenant", w.tenantHint] : ["user", w.badUser];
  return ["", reasonOf(error)];
}

function LanguagePicker() {
  const w = words();
  const options: [LangChoice, string][] = [["auto", w.auto], ["zh-CN", "简体中文"], ["en", "English"]];
  return (
    <label class="login-lang">
      <Icon name="globe" size={18} />
      <span class="unseen">{w.language}</span>
      <select
        value={langChoice.value}
        onChange={(e) => {
          const chosen = options.find(([value]) => value === e.currentTarget.value);
          if (chosen) setLang(chosen[0]);
        }}
      >
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The sign of the house: three wild geese. */
function Mark() {
  return (
    <svg class="login-mark" viewBox="0 0 64 64" width="64" height="64" aria-hidden="true">
      <rect width="64" height="64" rx="18" class="login-mark-bg" />
      <path class="login-mark-bird" d="M10 30c7-1 12 1 17 8 4-9 13-16 27-17-9 5-17 13-21 27-4-8-12-15-23-18z" />
    </svg>
  );
}
