/** Opening a log by its id, and the page of one. */

import { useState } from "preact/hooks";
import { Button, dictionary, Input } from "../ui/index.js";
import { ConnectionTable, type Connection } from "./Connections.js";
import { Entries } from "./Entries.js";
import { bytes, exact, moment } from "./format.js";
import { useLoad } from "./loading.js";
import { Members } from "./Members.js";
import { Await, Card, Facts, Note, Pill } from "./parts.js";
import { go, place, placeOf } from "./router.js";
import { get, me } from "./session.js";

const words = dictionary(
  {
    open: "Open",
    id: "Log id",
    hint: "A log is named tenant/kind/name, e.g. main/d/alice~bob or main/g/2w5k…; the page of a user lists that user's logs.",
    bad: "An id looks like tenant/kind/name.",
    two: "Direct conversation of",
    and: "and",
    recent: "Opened lately",
    kind: "Kind",
    head: "Head",
    ord: "Messages",
    floor: "Floor",
    version: "Version",
    roster: "Roster",
    epoch: "Epoch",
    members: "Members",
    created: "Made",
    subscribers: "Following here",
    queued: "Waiting for them",
    large: "large",
    slow: (n: number) => `${n} slow`,
    facts: "The log",
    state: "State of its kind",
    readers: "Connections here, slowest first",
    noReaders: "Nobody follows it on this node now.",
  },
  {
    open: "打开",
    id: "日志 ID",
    hint: "日志以 租户/类型/名称 命名，例如 main/d/alice~bob 或 main/g/2w5k…；用户页面列出该用户的日志。",
    bad: "ID 的形式是 租户/类型/名称。",
    two: "单聊：",
    and: "和",
    recent: "最近打开",
    kind: "类型",
    head: "最新序号",
    ord: "消息数",
    floor: "最早序号",
    version: "版本",
    roster: "名册版本",
    epoch: "纪元",
    members: "成员",
    created: "创建时间",
    subscribers: "本节点订阅",
    queued: "等待字节",
    large: "大型",
    slow: (n: number) => `${n} 个慢读者`,
    facts: "日志",
    state: "类型状态",
    readers: "本节点连接，最慢在前",
    noReaders: "本节点当前没有连接订阅它。",
  },
);

const LOG = /^[a-z0-9][a-z0-9-]{0,31}\/[a-z]{1,8}\/[A-Za-z0-9_.@+~-]{1,140}$/;
const RECENT = "hongyan.console.logs";
const MOST_RECENT = 8;

/** The direct conversation of two users. */
export function directLog(tenant: string, one: string, other: string): string {
  return `${tenant}/d/${one < other ? `${one}~${other}` : `${other}~${one}`}`;
}

function recentLogs(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(RECENT) ?? "[]");
    return Array.isArray(kept) ? kept.filter((log): log is string => typeof log === "string") : [];
  } catch {
    return [];
  }
}

function remember(log: string): void {
  const kept = [log, ...recentLogs().filter((one) => one !== log)].slice(0, MOST_RECENT);
  localStorage.setItem(RECENT, JSON.stringify(kept));
}

export function LogsPage() {
  const { id } = place.value;
  return id ? <Log log={id} /> : <Open />;
}

function Open() {
  const w = words();
  const [text, setText] = useState("");
  const [one, setOne] = useState("");
  const [other, setOther] = useState("");
  const [error, setError] = useState("");
  const recent = recentLogs();
  const tenant = me.value?.tenant ?? "main";
  return (
    <div class="page">
      <Note>{w.hint}</Note>
      <div class="columns">
        <Card title={w.id}>
          <form
            class="line-form"
            onSubmit={(e) => {
              e.preventDefault();
              const log = text.trim();
              if (LOG.test(log)) go("logs", log);
              else setError(w.bad);
            }}
          >
            <Input
              label={w.id}
              quiet
              placeholder={`${tenant}/g/…`}
              value={text}
              error={error || undefined}
              onInput={(value) => {
                setText(value);
                setError("");
              }}
              autofocus
            />
            <Button kind="primary" type="submit">
              {w.open}
            </Button>
          </form>
        </Card>
        <Card title={w.two}>
          <form
            class="line-form"
            onSubmit={(e) => {
              e.preventDefault();
              if (one.trim() && other.trim()) go("logs", directLog(tenant, one.trim(), other.trim()));
            }}
          >
            <Input label={w.two} quiet placeholder="alice" value={one} onInput={setOne} />
            <Input label={w.and} quiet placeholder="bob" value={other} onInput={setOther} />
            <Button kind="primary" type="submit" disabled={!one.trim() || !other.trim()}>
              {w.open}
            </Button>
          </form>
        </Card>
      </div>
      {recent.length > 0 && (
        <Card title={w.recent}>
          <ul class="links">
            {recent.map((log) => (
              <li key={log}>
                <a class="break" href={placeOf("logs", log)}>
                  {log}
                </a>
              </li>
            ))}
          </ul>
        </Card>
      )}
    </div>
  );
}

interface Whole {
  log: string;
  kind: string;
  epoch: number;
  head: number;
  ord: number;
  floor: number;
  version: number;
  roster: number;
  members: number;
  large: boolean;
  created_at: number;
  state: unknown;
  subscribers: number;
  queued_bytes: number;
  slow: number;
  connections: Connection[];
}

function Log({ log }: { log: string }) {
  const w = words();
  const path = `/v1/admin/logs/${log.split("/").map(encodeURIComponent).join("/")}`;
  const loaded = useLoad(path, async () => {
    const found = await get<Whole>(path);
    remember(log);
    return found;
  }, 3000);
  const hasState = JSON.stringify(loaded.value?.state ?? {}) !== "{}";
  return (
    <div class="page">
      <Await of={loaded}>
        {(found) => (
          <>
            <div class={hasState ? "columns" : ""}>
              <Card title={w.facts}>
                <Facts
                  facts={[
                    [w.kind, <>{found.kind} {found.large && <Pill tone="accent">{w.large}</Pill>}</>],
                    [w.members, exact(found.members)],
                    [w.head, exact(found.head)],
                    [w.ord, exact(found.ord)],
                    [w.floor, exact(found.floor)],
                    [w.version, exact(found.version)],
                    [w.roster, exact(found.roster)],
                    [w.epoch, exact(found.epoch)],
                    [w.created, moment(found.created_at)],
                    [
                      w.subscribers,
                      <>
                        {exact(found.subscribers)}{" "}
                        {found.slow > 0 && <Pill tone="warn">{w.slow(found.slow)}</Pill>}
                      </>,
                    ],
                    [w.queued, bytes(found.queued_bytes)],
                  ]}
                />
              </Card>
              {hasState && (
                <Card title={w.state}>
                  <pre class="json" tabIndex={0}>
                    {JSON.stringify(found.state, null, 2)}
                  </pre>
                </Card>
              )}
            </div>
            <Card title={w.readers} flush>
              <ConnectionTable users rows={found.connections} empty={w.noReaders} label={w.readers} />
            </Card>
            <Members path={path} />
            <Entries path={path} log={log} head={found.head} />
          </>
        )}
      </Await>
    </div>
  );
}
