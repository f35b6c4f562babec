/**
 * Who is logged in, and how the server is asked. The login is a cookie that no script can read;
 * the short-lived token it gives is kept in memory only.
 */

import { signal } from "@preact/signals";

export interface Me {
  tenant: string;
  user: string;
  admin: boolean;
}

/** The server said no, in words that may be shown; `code` as on the wire, 0 = none. */
export class Refused extends Error {
  override name = "Refused";

  constructor(
    text: string,
    readonly status: number,
    readonly code: number,
  ) {
    super(text);
  }
}

/** No answer: no network, or the server is down. */
export class Offline extends Error {
  override name = "Offline";
}

/** undefined = not known yet, null = nobody. */
export const me = signal<Me | null | undefined>(undefined);

interface Access extends Me {
  token: string;
  expires_at: number;
}

const SPARE_MS = 60_000;
const DEVICE = "hongyan.device"; // the same browser is the same device for app and console
let access: Access | null = null;
let asking: Promise<Access | null> | null = null;

function device(): string {
  let id = localStorage.getItem(DEVICE);
  if (!id) {
    const bytes = [...crypto.getRandomValues(new Uint8Array(8))];
    id = `web-${bytes.map((b) => b.toString(16).padStart(2, "0")).join("")}`;
    localStorage.setItem(DEVICE, id);
  }
  return id;
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch {
    throw new Offline("no answer");
  }
}

async function refusal(answer: Response): Promise<Refused> {
  let text = answer.statusText || `HTTP ${answer.status}`;
  let code = 0;
  try {
    const problem = (await answer.json()) as { detail?: string; title?: string; code?: number };
    text = problem.detail || problem.title || text;
    code = problem.code ?? 0;
  } catch {
    // not problem+json: the status has to do
  }
  return new Refused(text, answer.status, code);
}

function sessionPost(path: string, body: object): Promise<Response> {
  return send(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Hongyan-Request": "1" },
    body: JSON.stringify(body),
  });
}

async function renew(): Promise<Access | null> {
  const answer = await sessionPost("/v1/session/token", {});
  if (answer.ok) return (await answer.json()) as Access;
  if (answer.status === 401 || answer.status === 403) return null;
  throw await refusal(answer);
}

/** A token that is good for a while; null when nobody is logged in. Throws Offline. */
async function token(fresh = false): Promise<string | null> {
  if (!fresh && access && access.expires_at - Date.now() > SPARE_MS) return access.token;
  asking ??= renew().finally(() => (asking = null));
  access = await asking;
  const who = access && { tenant: access.tenant, user: access.user, admin: access.admin };
  if (JSON.stringify(who) !== JSON.stringify(me.value)) me.value = who;
  return access?.token ?? null;
}

/** Find out who the cookie says we are. Throws Offline. */
export async function findOut(): Promise<void> {
  await token();
}

/** Log in. Throws Refused, Offline. */
export async function logIn(user: string, password: string, tenant: string): Promise<void> {
  const body = { user, password, device: device(), ...(tenant && { tenant }) };
  const answer = await sessionPost("/v1/session", body);
  if (!answer.ok) throw await refusal(answer);
  await token(true);
}

export async function logOut(): Promise<void> {
  await send("/v1/session", { method: "DELETE", headers: { "Hongyan-Request": "1" } });
  access = null;
  me.value = null;
}

/**
 * Ask the server. Gives the JSON of its answer.
 *
 * Throws Refused, Offline. When the login is over, `me` becomes null: the page shows the login.
 */
export async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  for (const fresh of [false, true]) {
    const bearer = await token(fresh);
    if (bearer === null) throw new Refused("logged out", 401, 201);
    const answer = await send(path, {
      method,
      headers: {
        Authorization: `Bearer ${bearer}`,
        ...(body !== undefined && { "Content-Type": "application/json" }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
    if (answer.status === 401 && !fresh) continue; // once more with a new token
    if (!answer.ok) throw await refusal(answer);
    const text = await answer.text();
    return (text ? JSON.parse(text) : null) as T;
  }
  throw new Refused("logged out", 401, 201);
}

export const get = <T>(path: string): Promise<T> => ask<T>("GET", path);
export const post = <T>(path: string, body: unknown = {}): Promise<T> => ask<T>("POST", path, body);
