/** Back ends that are asked before a call is decided. */

import { useState } from "preact/hooks";
import { Button, confirm, Dialog, dictionary, IconButton, Input, openMenu } from "../ui/index.js";
import { count } from "./format.js";
import { useLoad } from "./loading.js";
import { attempt, Await, Card, Choice, Note, Pill, Table } from "./parts.js";
import { names, SecretDialog } from "./Secret.js";
import { ask, get, post } from "./session.js";
import { words as common } from "./words.js";

const words = dictionary(
  {
    title: "Before-send hooks",
    text: "A hook may refuse or rewrite a call before anything is stored. Each says what happens while it does not answer: calls pass, or are refused and tried again.",
    make: "New hook",
    url: "URL of the back end",
    calls: "Calls",
    callsHint: "e.g. chat.send, chat.edit",
    kinds: "Kinds",
    kindsHint: "e.g. direct, group; empty = all",
    about: "What is it for?",
    deadline: "Deadline (ms)",
    down: "While it is down",
    open: "let pass",
    closed: "refuse",
    create: "Make hook",
    state: "Circuit",
    asking: "asking",
    broken: "not asked: it fails",
    trying: "trying again",
    off: "off",
    allowed: "Allowed",
    refused: "Refused",
    rewritten: "Rewritten",
    failed: "Failed",
    passed: "Passed unasked",
    none: "No hooks yet.",
    rotate: "New secret",
    disable: "Turn off",
    enable: "Turn on",
    drop: "Drop",
    dropTitle: "Drop this hook?",
    dropText: "Calls are decided without it from now on.",
    dropped: "The hook is gone",
    actions: "Actions",
    lastError: "Last failure",
  },
  {
    title: "发送前钩子",
    text: "钩子可以在存储之前拒绝或改写调用。每个钩子规定自己不应答时的处理：放行，或拒绝并让客户端重试。",
    make: "新建钩子",
    url: "后端 URL",
    calls: "调用",
    callsHint: "例如 chat.send、chat.edit",
    kinds: "类型",
    kindsHint: "例如 direct、group；留空为全部",
    about: "用途",
    deadline: "期限（毫秒）",
    down: "不可用时",
    open: "放行",
    closed: "拒绝",
    create: "创建钩子",
    state: "熔断",
    asking: "询问中",
    broken: "失败，暂不询问",
    trying: "正在试探",
    off: "已关闭",
    allowed: "允许",
    refused: "拒绝",
    rewritten: "改写",
    failed: "失败",
    passed: "未询问放行",
    none: "还没有钩子。",
    rotate: "更换密钥",
    disable: "关闭",
    enable: "开启",
    drop: "删除",
    dropTitle: "删除此钩子？",
    dropText: "此后的调用不再经过它。",
    dropped: "钩子已删除",
    actions: "操作",
    lastError: "最近失败",
  },
);

interface Hook {
  id: string;
  url: string;
  calls: string[];
  kinds: string[];
  deadline_ms: number;
  when_down: "open" | "closed";
  about: string;
  enabled: boolean;
  state: string;
  allowed: number;
  refused: number;
  rewritten: number;
  failed: number;
  passed: number;
  last_error: string;
}

export function HooksPage() {
  const w = words();
  const loaded = useLoad("hooks", () => get<{ hooks: Hook[] }>("/v1/hooks"), 4000);
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
          {({ hooks }) => <Rows hooks={hooks} again={loaded.again} onSecret={setSecret} />}
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

function State({ hook }: { hook: Hook }) {
  const w = words();
  if (!hook.enabled) return <Pill>{w.off}</Pill>;
  if (hook.state === "open") return <Pill tone="bad">{w.broken}</Pill>;
  if (hook.state === "half-open") return <Pill tone="warn">{w.trying}</Pill>;
  return <Pill tone="good">{w.asking}</Pill>;
}

interface RowsProps {
  hooks: readonly Hook[];
  again: () => void;
  onSecret: (secret: string) => void;
}

function Rows({ hooks, again, onSecret }: RowsProps) {
  const w = words();
  const acts = (hook: Hook, at: Element) => {
    const path = `/v1/hooks/${encodeURIComponent(hook.id)}`;
    const drop = async () => {
      const sure = await confirm({ title: w.dropTitle, text: w.dropText, yes: w.drop, danger: true });
      if (sure && (await attempt(() => ask("DELETE", path), w.dropped))) again();
    };
    const toggle = async () => {
      if (await attempt(() => ask("PATCH", path, { enabled: !hook.enabled }))) again();
    };
    const rotate = () =>
      attempt(async () => onSecret((await post<{ secret: string }>(`${path}/rotate`)).secret));
    openMenu({
      at,
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
    });
  };
  return (
    <Table
      label={w.title}
      rows={hooks}
      id={(hook) => hook.id}
      empty={w.none}
      columns={[
        {
          head: w.url,
          lead: true,
          cell: (hook) => (
            <span class="two-lines">
              <b class="break">{hook.about || hook.id}</b>
              <small class="break">{hook.url}</small>
            </span>
          ),
        },
        {
          head: w.calls,
          cell: (hook) => <code class="break">{[...hook.calls, ...hook.kinds].join(", ")}</code>,
        },
        { head: w.state, cell: (hook) => <State hook={hook} /> },
        {
          head: w.down,
          cell: (hook) => `${hook.when_down === "open" ? w.open : w.closed} · ${hook.deadline_ms} ms`,
        },
        { head: w.allowed, right: true, cell: (hook) => count(hook.allowed) },
        { head: w.refused, right: true, cell: (hook) => count(hook.refused) },
        {
          head: w.failed,
          right: true,
          cell: (hook) =>
            hook.failed ? <span title={hook.last_error}>{count(hook.failed)}</span> : 0,
        },
        { head: w.passed, right: true, cell: (hook) => count(hook.passed) },
        {
          head: w.actions,
          quiet: true,
          right: true,
          cell: (hook) => (
            <IconButton
              icon="more"
              size={18}
              label={`${w.actions}: ${hook.about || hook.id}`}
              onClick={(e) => acts(hook, e.currentTarget as Element)}
            />
          ),
        },
      ]}
    />
  );
}

function Make({ onClose, onMade }: { onClose: () => void; onMade: (secret: string) => void }) {
  const w = words();
  const [url, setUrl] = useState("");
  const [about, setAbout] = useState("");
  const [calls, setCalls] = useState("chat.send");
  const [kinds, setKinds] = useState("");
  const [deadline, setDeadline] = useState("500");
  const [down, setDown] = useState<"open" | "closed">("closed");
  const [busy, setBusy] = useState(false);
  const make = async () => {
    setBusy(true);
    await attempt(async () => {
      const made = await post<{ secret: string }>("/v1/hooks", {
        url: url.trim(),
        about,
        calls: names(calls),
        kinds: names(kinds),
        deadline_ms: Number(deadline) || 500,
        when_down: down,
      });
      onMade(made.secret);
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
          <Button
            kind="primary"
            disabled={!url.trim() || !names(calls).length}
            busy={busy}
            onClick={() => void make()}
          >
            {w.create}
          </Button>
        </>
      }
    >
      <div class="stack">
        <Input label={w.url} value={url} onInput={setUrl} placeholder="https://…" required autofocus />
        <Input label={w.about} value={about} onInput={setAbout} maxLength={200} />
        <Input label={w.calls} value={calls} onInput={setCalls} hint={w.callsHint} />
        <Input label={w.kinds} value={kinds} onInput={setKinds} hint={w.kindsHint} />
        <Input label={w.deadline} type="number" value={deadline} onInput={setDeadline} />
        <div class="field">
          <span class="field-label">{w.down}</span>
          <Choice
            label={w.down}
            value={down}
            options={[
              ["closed", w.closed],
              ["open", w.open],
            ]}
            onChange={setDown}
          />
        </div>
      </div>
    </Dialog>
  );
}
