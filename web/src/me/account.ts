/** The person's own account over HTTP. All throw HttpRefusal, or what fetch throws offline. */

import { client, forgetLink, learn, logIn, me, refusalOf } from "../session/index.js";

export interface Account {
  tenant: string;
  user: string;
  name: string;
  avatar: string;
}

/** A device that logged in; times in ms. */
export interface Device {
  device: string;
  cls: string;
  login_at: number;
  seen_at: number;
  active: boolean;
  current: boolean;
}

async function ask<T>(path: string, init?: RequestInit): Promise<T> {
  const answer = await client().http(path, init);
  if (!answer.ok) throw await refusalOf(answer);
  return (await answer.json()) as T;
}

const json = (method: string, body: object): RequestInit => ({
  method,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export function readAccount(): Promise<Account> {
  return ask<Account>("/v1/me");
}

/** Change name or picture (a digest, "" for none); what is shown everywhere follows. */
export async function changeAccount(change: { name?: string; avatar?: string }): Promise<Account> {
  const account = await ask<Account>("/v1/me", json("PATCH", change));
  learn({ user: account.user, name: account.name, avatar: account.avatar });
  if (change.avatar !== undefined) forgetLink({ user: account.user });
  if (me.value) me.value = { ...me.value, name: account.name };
  return account;
}

export async function readDevices(): Promise<Device[]> {
  return (await ask<{ devices: Device[] }>("/v1/me/devices")).devices;
}

export async function logOutDevice(device: string): Promise<void> {
  await ask(`/v1/me/devices/${encodeURIComponent(device)}`, { method: "DELETE" });
}

/** Change the password. It ends every login, so this browser logs in anew with the new one. */
export async function changePassword(old: string, fresh: string): Promise<void> {
  const who = me.value;
  if (!who) return;
  await ask("/v1/password", json("POST", { old, new: fresh }));
  await logIn(who.user, fresh, who.tenant);
}
