/** Links that let somebody into a group: `https://host/#join=<log>&token=<token>`. Pure. */

export interface Invitation {
  log: string;
  /** "" where the group lets everybody ask. */
  token: string;
}

const LOG = /^[a-z0-9][a-z0-9-]{0,31}\/g\/[A-Za-z0-9_.@+~-]{1,140}$/;
const TOKEN = /^[A-Za-z0-9_.~+=-]{0,200}$/;

/** The link of an invitation on the server at `origin`. */
export function invitationLink(origin: string, invitation: Invitation): string {
  const token = invitation.token && `&token=${encodeURIComponent(invitation.token)}`;
  return `${origin}/#join=${encodeURIComponent(invitation.log)}${token}`;
}

/** The invitation in a link, in its part from `#` on, or a group's bare id; null in anything else. */
export function invitationIn(text: string): Invitation | null {
  const clean = text.trim();
  if (LOG.test(clean)) return { log: clean, token: "" };
  const at = clean.indexOf("#join=");
  if (at < 0) return null;
  const given = new URLSearchParams(clean.slice(at + 1));
  const log = given.get("join") ?? "";
  const token = given.get("token") ?? "";
  return LOG.test(log) && TOKEN.test(token) ? { log, token } : null;
}
