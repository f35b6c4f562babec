/** Watching without an account: a client of its own for one room, by a short token. */

import { type Client, createClient, LoggedOut } from "@hongyan/sdk";
import { refusalOf } from "../session/login.js";

const SPARE = 60_000; // ms before its end, a token is not given out any more

/** A client that may watch this room and nothing else. Starts nothing. */
export function guestClient(log: string): Client {
  let kept = { token: "", until: 0 };
  return createClient({
    url: location.origin,
    store: "memory",
    shareTabs: false,
    client: "hongyan-web",
    lang: navigator.language,
    getToken: async (fresh) => {
      if (!fresh && kept.until > Date.now()) return kept.token;
      const answer = await fetch(`/v1/logs/${log}/viewer-token`, { method: "POST" });
      if (!answer.ok) {
        const why = await refusalOf(answer);
        // for now: the client tries again; for good: it stops
        if (answer.status === 429 || answer.status >= 500) throw why;
        throw new LoggedOut(why.message, { code: why.code || 209 });
      }
      const { token, expires_at } = (await answer.json()) as { token: string; expires_at: number };
      kept = { token, until: expires_at - SPARE };
      return token;
    },
  });
}
