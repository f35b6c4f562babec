/** Says that the page shows what it kept, while there is no connection. */

import { useEffect, useState } from "preact/hooks";
import { client, status } from "../session/index.js";
import { Icon, Spinner } from "../ui/index.js";
import { words } from "./words.js";

const GRACE = 1500; // ms: a short break is not worth a bar

/** Nothing while the connection is open. */
export function ConnectionBar() {
  const w = words();
  const { state, retryAt = 0 } = status.value;
  const broken = state !== "open" && state !== "stopped";
  const [shown, setShown] = useState(false);
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!broken) return setShown(false);
    const timer = setTimeout(() => setShown(true), GRACE);
    return () => clearTimeout(timer);
  }, [broken]);
  useEffect(() => {
    if (state !== "waiting") return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [state, retryAt]);
  if (!shown) return <div class="unseen" role="status" />;
  const seconds = Math.max(1, Math.ceil((retryAt - now) / 1000));
  return (
    <div class="conn" role="status">
      {state === "connecting" ? <Spinner size="s" label="" /> : <Icon name="cloudOff" size={18} />}
      <span>{state === "connecting" ? w.connecting : state === "offline" ? w.offline : w.again(seconds)}</span>
      {state === "waiting" && (
        <button type="button" class="conn-do" onClick={() => client().wake()}>
          {w.tryNow}
        </button>
      )}
    </div>
  );
}
