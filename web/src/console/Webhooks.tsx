/** Where committed entries are posted to, and what could not be delivered. */

import { useState } from "preact/hooks";
import { Button, confirm, Dialog, dictionary, IconButton, Input, openMenu, toast } from "../ui/index.js";
import { DeadLetters } from "./DeadLetters.js";
import { ago, count, exact, moment, span } from "./format.js";
import { useLoad } from "./loading.js";
import { attempt, Await, Card, Facts, Note, Pill, Table } from "./parts.js";
import { go, place, placeOf } from "./router.js";
import { names, SecretDialog } from "./Secret.js";
import { ask, get, post } from "./session.js";
import { words as common } from "./words.js";

const words = dictionary(
  {
    title: "Webhooks",
    text: "Entries are posted after they are stored: at least once, in order per log, signed. What is given up waits here as a dead letter.",
    make: "New webhook",
    url: "URL of the receiver",
    kinds: "Kinds",
    kindsHint: "e.g. direct, group; empty = all but users' own logs",
    types: "Entry types",
    typesHint: "e.g. message, recall; empty = all",
    about: "What is it for?",
    start: "Begin with",
    create: "Make webhook",
    state: "State",
    good: "delivering",
    failing: "failing",
    off: "off",
    delivered: "Delivered",
    failed: "Failed tries",
    dead: "Dead letters",
    held: "Logs waiting",
    lag: "Behind",
    lastOk: "Last success",
    lastError: "Last failure",
    since: "Failing for",
    created: "Made",
    secrets: "Secrets",
    all: "all",
    none: "No webhooks yet.",
    test: "Send a test",
    tested: (status: number, ms: number) => `The receiver answered ${status} after ${ms} ms`,
    testFailed: (why: string) => `The test failed: ${why}`,
    rotate: "New secret",
    rotateTitle: "Replace the secret?",
    rotateText: "The old one signs beside the new one for a day.",
    disable: "Turn off",
    enable: "Turn on",
    drop: "Drop",
    dropTitle: "Drop this webhook?",
    dropText: "Its cursor and its dead letters go with it.",
    dropped: "The webhook is gone",
    actions: "Actions",
  },
  {
    title: "Webhook",
    text: "条目存储之后推送：至少一次，每个日志内有序，带签名。放弃投递的条目作为死信保留在此。",
    make: "新建 Webhook",
    url: "接收方 URL",
    kinds: "类型",
    kindsHint: "例如 direct、group；留空为除用户私有日志外的全部",
    types: "条目类型",
    typesHint: "例如 message、recall；留空为全部",
    about: "用途",
    start: "起点",
    create: "创建 Webhook",
    state: "状态",
    good: "投递中",
    failing: "失败中",
    off: "已关闭",
    delivered: "已投递",
    failed: "失败次数",
    dead: "死信",
    held: "等待的日志",
    lag: "落后",
    lastOk: "最近成功",
    lastError: "最近失败",
    since: "持续失败",
    created: "创建时间",
    secrets: "密钥数",
    all: "全部",
    none: "还没有 Webhook。",
    test: "发送测试",
    tested: (status: number, ms: number) => `接收方在 ${ms} 毫秒后应答 ${status}`,
    testFailed: (why: string) => `测试失败：${why}`,
    rotate: "更换密钥",
    rotateTitle: "更换密钥？",
    rotateText: "旧密钥会与新密钥同时签名一天。",
    disable: "关闭",
    enable: "开启",
    drop: "删除",
    dropTitle: "删除此 Webhook？",
    dropText: "它的游标和死信也会一并删除。",
    dropped: "Webhook 已删除",
    actions: "操作",
  },
);

interface Webhook {
  id: string;
  url: string;
  kinds: string[];
  types: string[];
  about: string;
  enabled: boolean;
  reason: string;
  created_at: number;
  secrets: number;
  delivered: number;
  failed: number;
  given_up: number;
  dead: number;
  held: number;
  lag: number;
  failing_since: number;
  last_ok_at: number;
  last_failed_at: number;
  last_status: number;
  last_error: string;
}

export function WebhooksPage() {
  const { id } = place.value;
  return id ? <One id={id} /> : <All />;
}

function State({ hook }: { hook: Webhook }) {
  const w = words();
  if (!hook.enabled) return <Pill>{w.off}</Pill>;
  return hook.failing_since ? <Pill tone="bad">{w.failing}</Pill> : <Pill tone="good">{w.good}</Pill>;
}

function All() {
  const w = words();
  const loaded = useLoad("webhooks", () => get<{ webhooks: Webhook[] }>("/v1/webhooks"), 4000);
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState("");
  return (
    <div class="page">
      <Note>{w.text}</Note>
      <Card
        flush
        title={w.title}
        tools={
          <Button kind="primary" icon="plus" onClick={() => setMaking(true)}>
            {w.make}
          </Button>
        }
      >
        <Await of={loaded}>
          {({ webhooks }) => (
            <Table
              label={w.title}
              rows={webhooks}
              id={(hook) => hook.id}
              empty={w.none}
              columns={[
                {
                  head: w.url,
                  lead: true,
                  cell: (hook) => (
                    <a class="two-lines" href={placeOf("webhooks", hook.id)}>
                      <b class="break">{hook.about || hook.id}</b>
                      <small class="break">{hook.url}</small>
                    </a>
                  ),
                },
                { head: w.state, cell: (hook) => <State hook={hook} /> },
                { head: w.delivered, right: true, cell: (hook) => count(hook.delivered) },
                { head: w.failed, right: true, cell: (hook) => count(hook.failed) },
                {
                  head: w.dead,
                  right: true,
                  cell: (hook) => (hook.dead ? <Pill tone="bad">{exact(hook.dead)}</Pill> : 0),
                },
                { head: w.lag, right: true, cell: (hook) => count(hook.lag) },
                {
                  head: w.lastOk,
                  cell: (hook) => <span class="nowrap">{ago(hook.last_ok_at)}</span>,
                },
              ]}
            />
          )}
        </Await>
      </Card>
      {making && (
        <Make
          onClose={() => setMaking(false)}
          onMade={(made) => {
            setMaking(false);
            setSecret(made);
            loaded.again();
          }}
        />
      )}
      {secret && <SecretDialog secret={secret} onClose={() => setSecret("")} />}
    </div>
  );
}

function Make({ onClose, onMade }: { onClose: () => void; onMade: (secret: string) => void }) {
  const w = words();
  const [url, setUrl] = useState("");
  const [about, setAbout] = useState("");
  const [kinds, setKinds] = useState("");
  const [types, setTypes] = useState("");
  const [busy, setBusy] = useState(false);
  const make = async () => {
    setBusy(true);
    await attempt(async () => {
      const body = { url: url.trim(), about, kinds: names(kinds), types: names(types) };
      onMade((await post<{ secret: string }>("/v1/webhooks", body)).secret);
    });
    setBusy(false);
  };
  return (
    <Dialog
      title={w.make}
      onClose={onClose}
      actions={
        <>
          <Button kind="plain" onClick={onClose}>
            {common().cancel}
          </Button>
          <Button kind="primary" disabled={!url.trim()} busy={busy} onClick={() => void make()}>
            {w.create}
          </Button>
        </>
      }
    >
      <div class="stack">
        <Input label={w.url} value={url} onInput={setUrl} placeholder="https://…" required autofocus />
        <Input label={w.about} value={about} onInput={setAbout} maxLength={200} />
        <Input label={w.kinds} value={kinds} onInput={setKinds} hint={w.kindsHint} />
        <Input label={w.types} value={types} onInput={setTypes} hint={w.typesHint} />
      </div>
    </Dialog>
  );
}

function One({ id }: { id: string }) {
  const w = words();
  const path = `/v1/webhooks/${encodeURIComponent(id)}`;
  const loaded = useLoad(path, () => get<Webhook>(path), 3000);
  const [secret, setSecret] = useState("");
  return (
    <div class="page">
      <Await of={loaded}>
        {(hook) => (
          <>
            <Card
              title={hook.about || hook.id}
              tools={
                <>
                  <State hook={hook} />
                  <Acts hook={hook} path={path} again={loaded.again} onSecret={setSecret} />
                </>
              }
            >
              {hook.reason && <Note icon="warn">{hook.reason}</Note>}
              {hook.failing_since > 0 && (
                <Note icon="warn">{hook.last_error || `HTTP ${hook.last_status}`}</Note>
              )}
              <p class="lead-line break">
                <code>{hook.url}</code>
              </p>
              <Facts
                facts={[
                  [w.kinds, hook.kinds.join(", ") || w.all],
                  [w.types, hook.types.join(", ") || w.all],
                  [w.delivered, exact(hook.delivered)],
                  [w.failed, exact(hook.failed)],
                  [w.held, exact(hook.held)],
                  [w.lag, exact(hook.lag)],
                  [w.lastOk, moment(hook.last_ok_at)],
                  [w.lastError, moment(hook.last_failed_at)],
                  [w.since, hook.failing_since ? span(Date.now() - hook.failing_since) : "–"],
                  [w.secrets, exact(hook.secrets)],
                  [w.created, moment(hook.created_at)],
                ]}
              />
            </Card>
            <DeadLetters path={path} dead={hook.dead} changed={loaded.again} />
          </>
        )}
      </Await>
      {secret && <SecretDialog secret={secret} onClose={() => setSecret("")} />}
    </div>
  );
}

interface ActsProps {
  hook: Webhook;
  path: string;
  again: () => void;
  onSecret: (secret: string) => void;
}

interface TestResult {
  ok: boolean;
  status: number;
  ms: number;
  error: string;
}

function Acts({ hook, path, again, onSecret }: ActsProps) {
  const w = words();
  const [busy, setBusy] = useState(false);
  const test = async () => {
    setBusy(true);
    await attempt(async () => {
      const result = await post<TestResult>(`${path}/test`);
      if (result.ok) toast(w.tested(result.status, Math.round(result.ms)), { kind: "good" });
      else toast(w.testFailed(result.error || String(result.status)), { kind: "bad", stays: 6000 });
    });
    setBusy(false);
    again();
  };
  const rotate = async () => {
    if (!(await confirm({ title: w.rotateTitle, text: w.rotateText, yes: w.rotate }))) return;
    await attempt(async () => onSecret((await post<{ secret: string }>(`${path}/rotate`)).secret));
  };
  const toggle = async () => {
    if (await attempt(() => ask("PATCH", path, { enabled: !hook.enabled }))) again();
  };
  const drop = async () => {
    const sure = await confirm({ title: w.dropTitle, text: w.dropText, yes: w.drop, danger: true });
    if (sure && (await attempt(() => ask("DELETE", path), w.dropped))) go("webhooks");
  };
  return (
    <>
      <Button icon="send" busy={busy} onClick={() => void test()}>
        {w.test}
      </Button>
      <IconButton
        icon="more"
        label={w.actions}
        onClick={(e) =>
          openMenu({
            at: e.currentTarget as Element,
            items: [
              { label: w.rotate, icon: "retry", run: () => void rotate() },
              {
                label: hook.enabled ? w.disable : w.enable,
                icon: hook.enabled ? "pause" : "play",
                run: () => void toggle(),
              },
              "-",
              { label: w.drop, icon: "trash", danger: true, run: () => void drop() },
            ],
          })
        }
      />
    </>
  );
}
