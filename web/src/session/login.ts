/**
 * Who is logged in. The login itself is a cookie that no script can read; this tab asks for
 * short-lived access tokens and keeps them in memory.
 */

import { LoggedOut } from "@hongyan/sdk";

/** Who this page acts as. */
export interface Me {
  tenant: string;
  user: string;
  name: string;
  admin: boolean;
  device: string;
}

interface TokenAnswer extends Me {
  token: string;
  expires_at: number;
}

/** The server said no, in words that may be shown. `code` as on the wire, 0 when it has none. */
export class HttpRefusal extends Error {
  override name = "HttpRefusal";

  constructor(
    text: string,
    readonly status: number,
    readonly code: number,
    /** ms until it may be tried again; 0 = not known. */
    readonly retryAfterMs = 0,
  ) {
    super(text);
  }
}

/** The error that an answer of the HTTP API stands for. */
export async function refusalOf(answer: Response): Promise<HttpRefusal> {
  let text = answer.statusText || `HTTP ${answer.status}`;
  let code = 0;
  try {
    const problem = (await answer.json()) as { detail?: string; title?: string; code?: number };
    text = problem.detail || problem.title || text;
    code = problem.code ?? 0;
  } catch {
    // not problem+json: the status has to do
  }
  const wait = Number(answer.headers.get("Retry-After"));
  return new HttpRefusal(text, answer.status, code, Number.isFinite(wait) ? wait * 1000 : 0);
}

const DEVICE = "hongyan.device";

/** The id of this browser: chosen once, kept until the site's data is deleted. */
export function deviceId(): string {
  let id = localStorage.getItem(DEVICE);
  if (!id) {
    id = `web-${[...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, "0")).join("")}`;
    localStorage.setItem(DEVICE, id);
  }
  return id;
}

let kept: TokenAnswer | null = null;
let asking: Promise<TokenAnswer> | null = null;
const SPARE = 60_000; // ms before its end, a token is not given out any more

async function post(path: string, body: object): Promise<Response> {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Hongyan-Request": "1" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw await refusalOf(answer);
  return answer;
}

/** Who the cookie says we are; null when nobody is logged in. Throws when there is no network. */
export async function whoAmI(): Promise<Me | null> {
  try {
    const { tenant, user, name, admin, device } = await token();
    return { tenant, user, name, admin, device };
  } catch (error) {
    if (error instanceof LoggedOut) return null;
    throw error;
  }
}

async function token(): Promise<TokenAnswer> {
  if (kept && kept.expires_at - Date.now() > SPARE) return kept;
  asking ??= (async () => {
    try {
      kept = (await (await post("/v1/session/token", {})).json()) as TokenAnswer;
      return kept;
    } catch (error) {
      if (error instanceof HttpRefusal && (error.status === 401 || error.status === 403)) {
        kept = null;
        throw new LoggedOut(error.message, { code: error.code || 201 });
      }
      throw error;
    } finally {
      asking = null;
    }
  })();
  return asking;
}

/** For the SDK: an access token that is good for a while. */
export async function getToken(): Promise<string> {
  return (await token()).token;
}

/** Log in; throws HttpRefusal. */
export async function logIn(user: string, password: string, tenant = ""): Promise<void> {
  kept = null;
  await post("/v1/session", { user, password, device: deviceId(), ...(tenant && { tenant }) });
}

/** Become the first administrator by the code of the first start. */
export async function claimAdmin(code: string, user: string, password: string): Promise<void> {
  kept = null;
  await post("/v1/session/claim", { code, password, device: deviceId(), ...(user && { user }) });
}

/** Log in by the code of a one-click link. */
export async function enterBy(code: string): Promise<void> {
  kept = null;
  await post("/v1/session/enter", { code, device: deviceId() });
}

/** Make an account where that is open, and log in. */
export async function signUp(a: { user: string; password: string; name: string; tenant?: string }): Promise<void> {
  await post("/v1/register", a);
  await logIn(a.user, a.password, a.tenant ?? "");
}

/** Give the cookie back. */
export async function logOut(): Promise<void> {
  kept = null;
  const answer = await fetch("/v1/session", { method: "DELETE", headers: { "Hongyan-Request": "1" } });
  if (!answer.ok && answer.status !== 401) throw await refusalOf(answer);
}
