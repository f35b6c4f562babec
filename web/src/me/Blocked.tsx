import { blocked, setBlocked } from "../people/blocks.js";
import { nameOf, UserAvatar } from "../session/index.js";
import { Button, shortWhen } from "../ui/index.js";
import { words } from "./words.js";

/** The block list; the latest first. */
export function BlockedSection() {
  const w = words();
  const list = [...blocked()].sort((a, b) => b[1] - a[1]);
  return (
    <div class="form">
      <p class="me-quiet">{list.length ? w.blockedHint : w.nobodyBlocked}</p>
      <ul class="me-list">
        {list.map(([user, at]) => (
          <li key={user} class="me-item">
            <UserAvatar user={user} size={40} />
            <span class="hit-main">
              <span class="hit-title ellipsis">{nameOf(user)}</span>
              <span class="hit-id ellipsis">{`@${user} · ${w.sinceBlocked(shortWhen(at))}`}</span>
            </span>
            <Button class="btn-s" onClick={() => void setBlocked(user, false)}>
              {w.unblock}
            </Button>
          </li>
        ))}
      </ul>
    </div>
  );
}
