/** API keys: list, make, drop. */

import { useState } from "preact/hooks";
import { Button, confirm, Dialog, dictionary, IconButton, Input } from "../ui/index.js";
import { moment } from "./format.js";
import { useLoad } from "./loading.js";
import { attempt, Await, Card, Copyable, Note, Pill, Table } from "./parts.js";
import { get, post } from "./session.js";
import { words as common } from "./words.js";

const words = dictionary(
  {
    title: "API keys",
    text: "A key lets your back end in. Its text is shown once, when it is made; the server keeps only a digest.",
    make: "New key",
    makeText: "What may it do?",
    create: "Make key",
    id: "Key",
    scopes: "Scopes",
    created: "Made",
    user: "Speaks for",
    userHint: "The user in whose name it sends",
    drop: "Drop",
    dropTitle: "Drop this key?",
    dropText: (id: string) => `Whoever uses ${id} is refused from now on. It cannot come back.`,
    dropped: "The key is gone",
    none: "No keys yet.",
    shown: "Copy the key now: it is not shown again.",
    key: "The new key",
    done: "I have it",
    scope: {
      users: "make and manage accounts",
      send: "send in its own name",
      send_as: "act as any user of the tenant",
      read: "read what the user it speaks for may read",
      admin: "everything an administrator may",
      metrics: "read /metrics",
    } as Record<string, string>,
  },
  {
    title: "API 密钥",
    text: "密钥供后端调用。密钥内容只在创建时显示一次，服务器只保存摘要。",
    make: "新建密钥",
    makeText: "允许它做什么？",
    create: "创建密钥",
    id: "密钥",
    scopes: "权限",
    created: "创建时间",
    user: "代表用户",
    userHint: "以哪个用户的名义发送",
    drop: "删除",
    dropTitle: "删除这个密钥？",
    dropText: (id: string) => `之后使用 ${id} 的请求都会被拒绝，且无法恢复。`,
    dropped: "密钥已删除",
    none: "还没有密钥。",
    shown: "请立即复制：密钥不会再次显示。",
    key: "新密钥",
    done: "我已保存",
    scope: {
      users: "创建和管理账号",
      send: "以自己的名义发送",
      send_as: "以租户内任意用户的身份操作",
      read: "读取所代表用户可读的内容",
      admin: "管理员的全部权限",
      metrics: "读取 /metrics",
    } as Record<string, string>,
  },
);

const SCOPES = ["users", "send", "send_as", "read", "metrics", "admin"];

interface Key {
  id: string;
  scopes: string[];
  user: string;
  created_at: number;
}

export function KeysPage() {
  const w = words();
  const keys = useLoad("keys", () => get<{ keys: Key[] }>("/v1/keys"));
  const [making, setMaking] = useState(false);
  const drop = async (key: Key) => {
    const sure = await confirm({
      title: w.dropTitle,
      text: w.dropText(key.id),
      yes: w.drop,
      danger: true,
    });
    if (sure && (await attempt(() => post("/v1/keys/drop", { id: key.id }), w.dropped))) keys.again();
  };
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
        <Await of={keys}>
          {(value) => (
            <Table
              label={w.title}
              rows={value.keys}
              id={(key) => key.id}
              empty={w.none}
              columns={[
                { head: w.id, lead: true, cell: (key) => <code>{key.id}</code> },
                {
                  head: w.scopes,
                  cell: (key) => (
                    <span class="pills">
                      {key.scopes.map((scope) => (
                        <Pill key={scope} tone={scope === "admin" ? "warn" : "plain"}>
                          {scope}
                        </Pill>
                      ))}
                    </span>
                  ),
                },
                { head: w.user, cell: (key) => key.user || "–" },
                { head: w.created, cell: (key) => moment(key.created_at) },
                {
                  head: w.drop,
                  quiet: true,
                  right: true,
                  cell: (key) => (
                    <IconButton
                      icon="trash"
                      label={`${w.drop}: ${key.id}`}
                      size={18}
                      onClick={() => void drop(key)}
                    />
                  ),
                },
              ]}
            />
          )}
        </Await>
      </Card>
      {making && (
        <Make
          onClose={() => {
            setMaking(false);
            keys.again();
          }}
        />
      )}
    </div>
  );
}

function Make({ onClose }: { onClose: () => void }) {
  const w = words();
  const [chosen, setChosen] = useState<string[]>([]);
  const [user, setUser] = useState("");
  const sends = chosen.includes("send");
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const make = async () => {
    setBusy(true);
    await attempt(async () => {
      setText((await post<{ key: string }>("/v1/keys", { scopes: chosen, ...(sends && { user: user.trim() }) })).key);
    });
    setBusy(false);
  };
  if (text) {
    return (
      <Dialog
        title={w.key}
        onClose={onClose}
        actions={
          <Button kind="primary" onClick={onClose}>
            {w.done}
          </Button>
        }
      >
        <Note icon="warn">{w.shown}</Note>
        <Copyable text={text} label={w.key} />
      </Dialog>
    );
  }
  return (
    <Dialog
      title={w.make}
      onClose={onClose}
      actions={
        <>
          <Button kind="plain" onClick={onClose}>
            {common().cancel}
          </Button>
          <Button kind="primary" disabled={!chosen.length || (sends && !user.trim())} busy={busy} onClick={() => void make()}>
            {w.create}
          </Button>
        </>
      }
    >
      <fieldset class="ticks">
        <legend>{w.makeText}</legend>
        {SCOPES.map((scope) => (
          <label key={scope} class="tick">
            <input
              type="checkbox"
              checked={chosen.includes(scope)}
              onChange={(e) =>
                setChosen(
                  e.currentTarget.checked ? [...chosen, scope] : chosen.filter((one) => one !== scope),
                )
              }
            />
            <span>
              <b>{scope}</b>
              <small>{w.scope[scope]}</small>
            </span>
          </label>
        ))}
      </fieldset>
      {sends && <Input label={w.user} value={user} onInput={setUser} hint={w.userHint} required />}
    </Dialog>
  );
}
