import { useRef, useState } from "preact/hooks";
import { PasswordInput } from "../login/PasswordInput.js";
import { codeOf } from "../login/tried.js";
import { me, reasonOf } from "../session/index.js";
import { Button, toast } from "../ui/index.js";
import { changePassword } from "./account.js";
import { words } from "./words.js";

const LEAST = 8; // characters, as on the server

interface Form {
  old: string;
  fresh: string;
  again: string;
}

const EMPTY: Form = { old: "", fresh: "", again: "" };

/** What is wrong with the form; {} when it may be sent. */
function wrongIn(form: Form): Partial<Form> {
  const w = words();
  const wrong: Partial<Form> = {};
  if (!form.old) wrong.old = w.needOld;
  if ([...form.fresh].length < LEAST) wrong.fresh = w.short;
  else if (form.fresh === form.old) wrong.fresh = w.same;
  else if (form.again !== form.fresh) wrong.again = w.differ;
  return wrong;
}

export function PasswordSection() {
  const w = words();
  const [form, setForm] = useState(EMPTY);
  const [wrong, setWrong] = useState<Partial<Form>>({});
  const [busy, setBusy] = useState(false);
  const box = useRef<HTMLFormElement>(null);
  const field = (name: keyof Form) => ({
    value: form[name],
    error: wrong[name],
    onInput: (value: string) => {
      setForm((was) => ({ ...was, [name]: value }));
      setWrong((was) => ({ ...was, [name]: undefined }));
    },
  });
  const submit = async () => {
    const found = wrongIn(form);
    setWrong(found);
    if (!Object.keys(found).length) {
      setBusy(true);
      try {
        await changePassword(form.old, form.fresh);
        setForm(EMPTY);
        toast(w.changed, { kind: "good", stays: 6000 });
      } catch (error) {
        const name = codeOf(error) === 208 ? "old" : "fresh";
        setWrong({ [name]: name === "old" ? w.wrongOld : reasonOf(error) });
      }
      setBusy(false);
    }
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
  };
  return (
    <form
      ref={box}
      class="form"
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        void submit();
      }}
    >
      <input type="text" autocomplete="username" value={me.value?.user} readOnly hidden />
      <PasswordInput label={w.old} autocomplete="current-password" {...field("old")} />
      <PasswordInput label={w.fresh} hint={w.short} autocomplete="new-password" {...field("fresh")} />
      <PasswordInput label={w.again} autocomplete="new-password" {...field("again")} />
      <p class="me-quiet">{w.changeHint}</p>
      <Button kind="primary" type="submit" busy={busy}>
        {w.change}
      </Button>
    </form>
  );
}
