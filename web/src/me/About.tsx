import { client, me, status } from "../session/index.js";
import { Fact } from "./Profile.js";
import { words } from "./words.js";

/** The server, the connection, this device. */
export function AboutSection() {
  const w = words();
  const { transport, leader, state } = status.value;
  const made = client();
  return (
    <div class="form">
      <dl class="facts">
        <Fact name={w.serverVersion} value={made.welcome?.server || location.host} />
        <Fact name={w.connection} value={state === "open" && transport ? w[transport] : w.offline} />
        <Fact name={w.tab} value={leader ? w.leader : w.follower} />
        <Fact name={w.thisDevice} value={made.device} />
      </dl>
      <p class="me-links">
        <a href="/docs">{w.apiDocs}</a>
        {me.value?.admin && <a href="/console">{w.console}</a>}
      </p>
      <p class="me-quiet">{w.licence}</p>
    </div>
  );
}
