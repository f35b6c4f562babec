/** One user: account, connections now, devices, conversations, and what can be done. */

import { useState } from "preact/hooks";
import { Avatar, Button, confirm, Dialog, dictionary, IconButton } from "../ui/index.js";
import { Lines } from "./Audit.js";
import { ConnectionTable, type Connection } from "./Connections.js";
import { ago, exact, moment } from "./format.js";
import { useLoad } from "./loading.js";
import { attempt, Await, Card, Copyable, Facts, Note, Pill, Presence, Table } from "./parts.js";
import { newPassword } from "./passwords.js";
import { Marks, type Account } from "./People.js";
import { placeOf } from "./router.js";
import { get, me, post } from "./session.js";
import { words as common } from "./words.js";

const words = dictionary(
  {
    name: "Name",
    created: "Made",
    lastSeen: "Last seen",
    now: "now",
    connections: "Connections on this node",
    noConnections: "No connection now.",
    devices: "Devices",
    device: "Device",
    cls: "Class",
    login: "Logged in",
    state: "State",
    active: "logged in",
    gone: "logged out",
    noDevices: "No device has logged in.",
    conversations: "Conversations",
    log: "Log",
    role: "Role",
    unread: "Unread",
    mentions: "mentions",
    read: "Read",
    delivered: "Delivered",
    head: "Head",
    lastEntry: "Last message",
    noConversations: "No conversations.",
    audit: "What was done to this account",
    noAudit: "Nothing yet.",
    kick: "Log out",
    kickTitle: "Log this device out?",
    kickText: (device: string) => `${device} is disconnected and has to log in again.`,
    kickAll: "Log all devices out",
    kickAllTitle: "Log all devices out?",
    kickAllText: (user: string) => `Every device of ${user} is disconnected and has to log in again.`,
    kicked: "Logged out",
    disable: "Disable",
    disableTitle: "Disable this account?",
    disableText: (user: string) => `${user} is disconnected and cannot log in until it is enabled again. Nothing is deleted.`,
    disabled: "The account is disabled",
    enable: "Enable",
    enabled: "The account is enabled",
    reset: "Reset password",
    resetTitle: "Give a new password?",
    resetText: (user: string) => `All logins of ${user} end now. The new password is shown once.`,
    resetDone: "The new password",
    resetShown: (user: string) => `Give it to ${user} by a way you trust: it is not shown again.`,
    done: "I have it",
    self: "This is you.",
  },
  {
    name: "名称",
    created: "创建时间",
    lastSeen: "最后在线",
    now: "现在",
    connections: "本节点上的连接",
    noConnections: "当前没有连接。",
    devices: "设备",
    device: "设备",
    cls: "类别",
    login: "登录时间",
    state: "状态",
    active: "已登录",
    gone: "已退出",
    noDevices: "没有设备登录过。",
    conversations: "会话",
    log: "日志",
    role: "角色",
    unread: "未读",
    mentions: "提及",
    read: "已读到",
    delivered: "已达到",
    head: "最新",
    lastEntry: "最后消息",
    noConversations: "没有会话。",
    audit: "对此账号的操作",
    noAudit: "还没有。",
    kick: "退出登录",
    kickTitle: "让此设备退出登录？",
    kickText: (device: string) => `${device} 将断开连接，需要重新登录。`,
    kickAll: "全部设备退出",
    kickAllTitle: "让全部设备退出登录？",
    kickAllText: (user: string) => `${user} 的所有设备将断开连接，需要重新登录。`,
    kicked: "已退出登录",
    disable: "停用",
    disableTitle: "停用此账号？",
    disableText: (user: string) => `${user} 将断开连接，重新启用前无法登录。数据不会删除。`,
    disabled: "账号已停用",
    enable: "启用",
    enabled: "账号已启用",
    reset: "重置密码",
    resetTitle: "设置新密码？",
    resetText: (user: string) => `${user} 的所有登录立即失效。新密码只显示一次。`,
    resetDone: "新密码",
    resetShown: (user: string) => `请通过可信途径告知 ${user}：密码不会再次显示。`,
    done: "我已保存",
    self: "这是你自己。",
  },
);

interface Device {
  device: string;
  class: string;
  login_at: number;
  seen_at: number;
  active: boolean;
}

interface Whole extends Account {
  devices: Device[];
  connections: Connection[];
}

interface Row {
  log: string;
  useq: number;
  role: number;
  head: number;
  read: number;
  delivered: number;
  unread: number;
  mentions: number;
  members: number;
  last_at: number;
  state: { title?: unknown };
}

export function Person({ user }: { user: string }) {
  const path = `/v1/admin/users/${encodeURIComponent(user)}`;
  const loaded = useLoad(path, () => get<Whole>(path), 3000);
  const [round, setRound] = useState(0);
  const again = () => {
    loaded.again();
    setRound(round + 1);
  };
  const w = words();
  return (
    <div class="page">
      <Await of={loaded}>
        {(account) => (
          <>
            <Head account={account} again={again} />
            <Card title={w.connections} flush>
              <ConnectionTable rows={account.connections} empty={w.noConnections} label={w.connections} />
            </Card>
            <Devices account={account} again={again} />
          </>
        )}
      </Await>
      <Conversations path={path} />
      <Card title={w.audit} flush>
        <Lines key={round} only={{ target: user }} empty={w.noAudit} />
      </Card>
    </div>
  );
}

interface ActProps {
  account: Whole;
  again: () => void;
}

function Head({ account, again }: ActProps) {
  const w = words();
  const [password, setPassword] = useState("");
  const { user } = account;
  const own = me.value?.user === user;
  const kickAll = async () => {
    const sure = await confirm({
      title: w.kickAllTitle,
      text: w.kickAllText(user),
      yes: w.kickAll,
      danger: true,
    });
    if (sure && (await attempt(() => post("/v1/users/kick", { user }), w.kicked))) again();
  };
  const disable = async () => {
    const disabled = !account.disabled;
    const sure =
      !disabled ||
      (await confirm({
        title: w.disableTitle,
        text: w.disableText(user),
        yes: w.disable,
        danger: true,
      }));
    if (!sure) return;
    const done = disabled ? w.disabled : w.enabled;
    if (await attempt(() => post("/v1/users/disable", { user, disabled }), done)) again();
  };
  const reset = async () => {
    const sure = await confirm({ title: w.resetTitle, text: w.resetText(user), yes: w.reset, danger: true });
    if (!sure) return;
    const fresh = newPassword();
    if (await attempt(() => post("/v1/users/reset", { user, password: fresh }))) {
      setPassword(fresh);
      again();
    }
  };
  return (
    <section class="card person">
      <Avatar id={user} name={account.name || user} size={72} />
      <div class="person-main">
        <h2>
          {user} <Marks account={account} />
        </h2>
        <Facts
          facts={[
            [w.state, <Presence state={account.presence} />],
            [w.name, account.name || "–"],
            [w.lastSeen, account.online ? w.now : ago(account.last_seen)],
            [w.created, moment(account.created_at)],
          ]}
        />
      </div>
      <div class="person-acts">
        <Button icon="logout" onClick={() => void kickAll()}>
          {w.kickAll}
        </Button>
        <Button icon="shield" onClick={() => void reset()}>
          {w.reset}
        </Button>
        {own ? (
          <small class="quiet">{w.self}</small>
        ) : (
          <Button
            icon={account.disabled ? "check" : "block"}
            class={account.disabled ? "" : "danger-text"}
            onClick={() => void disable()}
          >
            {account.disabled ? w.enable : w.disable}
          </Button>
        )}
      </div>
      {password && (
        <Dialog
          title={w.resetDone}
          onClose={() => setPassword("")}
          actions={
            <Button kind="primary" onClick={() => setPassword("")}>
              {w.done}
            </Button>
          }
        >
          <Note icon="warn">{w.resetShown(user)}</Note>
          <Copyable text={password} label={w.resetDone} />
        </Dialog>
      )}
    </section>
  );
}

function Devices({ account, again }: ActProps) {
  const w = words();
  const kick = async (device: string) => {
    const sure = await confirm({
      title: w.kickTitle,
      text: w.kickText(device),
      yes: w.kick,
      danger: true,
    });
    if (sure && (await attempt(() => post("/v1/users/kick", { user: account.user, device }), w.kicked))) again();
  };
  return (
    <Card title={w.devices} flush>
      <Table
        label={w.devices}
        rows={account.devices}
        id={(row) => row.device}
        empty={w.noDevices}
        columns={[
          { head: w.device, lead: true, cell: (row) => <code class="break">{row.device}</code> },
          { head: w.cls, cell: (row) => row.class },
          { head: w.login, cell: (row) => moment(row.login_at) },
          { head: w.lastSeen, cell: (row) => moment(row.seen_at) },
          {
            head: w.state,
            cell: (row) =>
              row.active ? <Pill tone="good">{w.active}</Pill> : <Pill>{w.gone}</Pill>,
          },
          {
            head: w.kick,
            quiet: true,
            right: true,
            cell: (row) =>
              row.active && (
                <IconButton
                  icon="logout"
                  size={18}
                  label={`${w.kick}: ${row.device}`}
                  onClick={() => void kick(row.device)}
                />
              ),
          },
        ]}
      />
    </Card>
  );
}

/** All rows of a user, page by page, newest change first; at most as many pages as shown. */
async function allRows(path: string): Promise<Row[]> {
  const rows: Row[] = [];
  let after = 0;
  for (let page = 0; page < 10; page += 1) {
    const found = await get<{ rows: Row[]; next: number; more: boolean }>(
      `${path}/conversations?limit=200&after=${after}`,
    );
    rows.push(...found.rows);
    after = found.next;
    if (!found.more) break;
  }
  return rows.sort((a, b) => b.last_at - a.last_at || b.useq - a.useq);
}

function Conversations({ path }: { path: string }) {
  const w = words();
  const loaded = useLoad(`${path} rows`, () => allRows(path), 15_000);
  return (
    <Card title={w.conversations} flush>
      <Await of={loaded}>
        {(rows) => (
          <Table
            label={w.conversations}
            rows={rows}
            id={(row) => row.log}
            empty={w.noConversations}
            columns={[
              {
                head: w.log,
                lead: true,
                cell: (row) => (
                  <a class="two-lines" href={placeOf("logs", row.log)}>
                    {typeof row.state.title === "string" && <b class="break">{row.state.title}</b>}
                    <span class="break">{row.log}</span>
                  </a>
                ),
              },
              { head: w.role, cell: (row) => common().roles[row.role] ?? row.role },
              {
                head: w.unread,
                right: true,
                cell: (row) => (
                  <>
                    {exact(row.unread)}
                    {row.mentions > 0 && <small class="quiet"> · @{row.mentions}</small>}
                  </>
                ),
              },
              { head: w.read, right: true, cell: (row) => exact(row.read) },
              { head: w.delivered, right: true, cell: (row) => exact(row.delivered) },
              { head: w.head, right: true, cell: (row) => exact(row.head) },
              { head: w.lastEntry, cell: (row) => <span class="nowrap">{ago(row.last_at)}</span> },
            ]}
          />
        )}
      </Await>
    </Card>
  );
}
