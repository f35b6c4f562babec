/** The live pages: the lobby, or a room as a user or as a guest. */

import { useEffect, useMemo } from "preact/hooks";
import { client, me, phase } from "../session/index.js";
import { guestClient } from "./guest.js";
import { Lobby } from "./Lobby.js";
import { RoomPage } from "./RoomPage.js";
import { logOf } from "./route.js";
import "./live.css";
import "./stage.css";

/** `name` as the address says it, "" for the lobby. */
export function LivePage({ name }: { name: string }) {
  const log = name && (logOf(name, me.value?.tenant ?? "main") || name);
  if (!log) return <Lobby />;
  if (phase.value === "in") return <RoomPage key={log} log={log} client={client()} guest={false} />;
  return <Guest key={log} log={log} />;
}

function Guest({ log }: { log: string }) {
  const made = useMemo(() => guestClient(log), [log]);
  useEffect(() => () => void made.close(), [made]);
  return <RoomPage log={log} client={made} guest />;
}
