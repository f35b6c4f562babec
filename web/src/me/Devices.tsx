/** Where the person is logged in. */

import { reasonOf } from "../session/index.js";
import { useEffect, useState } from "preact/hooks";
import { tried } from "../login/tried.js";
import { Button, confirm, fullWhen, Icon, shortWhen, Spinner, toast } from "../ui/index.js";
import { type Device, logOutDevice, readDevices } from "./account.js";
import { words } from "./words.js";

/** What a device is called: what it is, and a piece of its id to tell it from others. */
function deviceName(device: Device): string {
  const w = words();
  const known: Record<string, string> = {
    web: w.web, phone: w.phone, desktop: w.desktop, pad: w.pad, thing: w.thing, server: w.server,
  };
  return `${known[device.cls] ?? device.cls} ${device.device.replace(/^web-/, "").slice(0, 8)}`;
}

export function DevicesSection() {
  const w = words();
  const [devices, setDevices] = useState<readonly Device[] | null>(null);
  const [error, setError] = useState("");
  const load = () =>
    readDevices().then(setDevices, (problem: unknown) => {
      setError(reasonOf(problem));
      setDevices([]);
    });
  useEffect(() => {
    void load();
  }, []);
  const logOut = async (device: Device) => {
    const sure = await confirm({ title: w.outAsk(deviceName(device)), text: w.outText, yes: w.out, danger: true });
    if (sure && (await tried(logOutDevice(device.device)))) {
      toast(w.outDone, { kind: "good" });
      await load();
    }
  };
  if (!devices) return <Spinner />;
  const active = devices.filter((d) => d.active).sort((a, b) => Number(b.current) - Number(a.current));
  return (
    <div class="form">
      <p class="me-quiet">{w.devicesHint}</p>
      {error && (
        <p class="form-bad" role="alert">
          {error}
        </p>
      )}
      <ul class="me-list">
        {active.map((device) => (
          <li key={device.device} class="me-item">
            <span class="hit-icon">
              <Icon name="device" size={20} />
            </span>
            <span class="hit-main">
              <span class="hit-title ellipsis">{deviceName(device)}</span>
              <span class="hit-id ellipsis" title={fullWhen(device.login_at)}>
                {device.current ? w.here : w.seen(shortWhen(device.seen_at || device.login_at))}
                {" · "}
                {w.since(shortWhen(device.login_at))}
              </span>
            </span>
            {!device.current && (
              <Button class="btn-s" onClick={() => void logOut(device)}>
                {w.out}
              </Button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
