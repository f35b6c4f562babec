/** Finding users, and the page of one. */

import { useEffect, useState } from "preact/hooks";
import { Avatar, dictionary, Input } from "../ui/index.js";
import { moment } from "./format.js";
import { useLoad } from "./loading.js";
import { attempt, Await, Card, More, Pill, Presence, Table } from "./parts.js";
import { Person } from "./Person.js";
import { go, place, placeOf } from "./router.js";
import { get } from "./session.js";

const words = dictionary(
  {
    find: "Beginning of a user id or name",
    title: "Accounts",
    user: "User",
    name: "Name",
    state: "State",
    connections: "Connections",
    created: "Made",
    marks: "Marks",
    admin: "administrator",
    disabled: "disabled",
    noPassword: "no password",
    none: "Nobody is called so.",
  },
  {
    find: "用户 ID 或名称的开头",
    title: "账号",
    user: "用户",
    name: "名称",
    state: "状态",
    connections: "连接",
    created: "创建时间",
    marks: "标记",
    admin: "管理员",
    disabled: "已停用",
    noPassword: "无密码",
    none: "没有这样的用户。",
  },
);

export interface Account {
  user: string;
  name: string;
  admin: boolean;
  disabled: boolean;
  password: boolean;
  created_at: number;
  presence: string;
  last_seen: number;
  online: number;
}

interface Page {
  users: Account[];
  /** Found by their name. */
  named: Account[];
  more: boolean;
}

const WAIT_MS = 200; // after the last key

export function PeoplePage() {
  const { id } = place.value;
  return id ? <Person user={id} /> : <Search />;
}

function Search() {
  const w = words();
  const asked = place.value.query["q"] ?? "";
  const [text, setText] = useState(asked);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (text.trim() !== asked) {
        history.replaceState(null, "", placeOf("people", "", { q: text.trim() }));
        dispatchEvent(new HashChangeEvent("hashchange"));
      }
    }, WAIT_MS);
    return () => clearTimeout(timer);
  }, [text, asked]);
  const path = `/v1/admin/users?limit=50&prefix=${encodeURIComponent(asked)}`;
  const first = useLoad(path, () => get<Page>(path), 10_000);
  const [later, setRest] = useState<{ path: string; page: Page } | null>(null);
  const [busy, setBusy] = useState(false);
  return (
    <div class="page">
      <form
        class="filters"
        role="search"
        onSubmit={(e) => {
          e.preventDefault();
          const only = first.value?.users[0];
          if (only) go("people", only.user);
        }}
      >
        <Input label={w.find} quiet placeholder={w.find} type="search" value={text} onInput={setText} autofocus />
      </form>
      <Card title={w.title} flush>
        <Await of={first}>
          {(page) => {
            const more = later?.path === path ? later.page : null;
            const users = [...page.users, ...(more?.users ?? [])];
            const rest = more ?? page;
            const load = async () => {
              setBusy(true);
              await attempt(async () => {
                const last = encodeURIComponent(users.at(-1)?.user ?? "");
                const next = await get<Page>(`${path}&after=${last}`);
                setRest({
                  path,
                  page: { ...next, users: [...(more?.users ?? []), ...next.users] },
                });
              });
              setBusy(false);
            };
            return (
              <>
                <Users users={rest.more ? users : [...users, ...page.named]} />
                <More show={rest.more} busy={busy} onMore={() => void load()} />
              </>
            );
          }}
        </Await>
      </Card>
    </div>
  );
}

function Users({ users }: { users: readonly Account[] }) {
  const w = words();
  return (
    <Table
      label={w.title}
      rows={users}
      id={(account) => account.user}
      empty={w.none}
      columns={[
        {
          head: w.user,
          lead: true,
          cell: (account) => (
            <a class="who" href={placeOf("people", account.user)}>
              <Avatar id={account.user} name={account.name || account.user} size={32} />
              <span>
                <b>{account.user}</b>
                {account.name && account.name !== account.user && <small>{account.name}</small>}
              </span>
            </a>
          ),
        },
        { head: w.state, cell: (account) => <Presence state={account.presence} /> },
        { head: w.connections, right: true, cell: (account) => account.online },
        { head: w.created, cell: (account) => moment(account.created_at) },
        { head: w.marks, quiet: true, cell: (account) => <Marks account={account} /> },
      ]}
    />
  );
}

export function Marks({ account }: { account: Account }) {
  const w = words();
  return (
    <span class="pills">
      {account.admin && <Pill tone="accent">{w.admin}</Pill>}
      {account.disabled && <Pill tone="bad">{w.disabled}</Pill>}
      {!account.password && <Pill>{w.noPassword}</Pill>}
    </span>
  );
}
