import { useState } from "preact/hooks";
import { entered, logIn } from "../session/index.js";
import { Button, Input } from "../ui/index.js";

export function LoginPage() {
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        void logIn(user, password).then(entered);
      }}
    >
      <Input label="User" value={user} onInput={setUser} />
      <Input label="Password" type="password" value={password} onInput={setPassword} />
      <Button type="submit">Log in</Button>
    </form>
  );
}
