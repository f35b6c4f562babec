/** The members of a log, page by page. */

import { useState } from "preact/hooks";
import { dictionary, Switch } from "../ui/index.js";
import { exact, moment } from "./format.js";
import { useLoad } from "./loading.js";
import { attempt, Await, Card, More, Pill, Table } from "./parts.js";
import { placeOf } from "./router.js";
import { get } from "./session.js";
import { words as common } from "./words.js";

const words = dictionary(
  {
    title: "Members",
    user: "User",
    role: "Role",
    joined: "Joined",
    since: "Reads from",
    until: (n: number) => `to ${n}`,
    read: "Read",
    delivered: "Delivered",
    muted: "muted",
    online: "Connections",
    left: "Also who left",
    none: "No members.",
  },
  {
    title: "成员",
    user: "用户",
    role: "角色",
    joined: "加入时间",
    since: "可读自",
    until: (n: number) => `至 ${n}`,
    read: "已读到",
    delivered: "已达到",
    muted: "禁言",
    online: "连接",
    left: "包括已退出的",
    none: "没有成员。",
  },
);

interface Member {
  user: string;
  nickname: string;
  role: number;
  since: number;
  until: number;
  joined_at: number;
  muted_until: number;
  read: number;
  delivered: number;
  online: number;
}

interface Page {
  members: Member[];
  more: boolean;
}

export function Members({ path }: { path: string }) {
  const w = words();
  const [left, setLeft] = useState(false);
  const url = `${path}/members?limit=50&left=${left ? 1 : 0}`;
  const first = useLoad(url, () => get<Page>(url));
  const [rest, setRest] = useState<{ url: string; page: Page } | null>(null);
  const [busy, setBusy] = useState(false);
  return (
    <Card title={w.title} flush tools={<Switch label={w.left} on={left} onChange={setLeft} />}>
      <Await of={first}>
        {(page) => {
          const more = rest?.url === url ? rest.page : null;
          const members = [...page.members, ...(more?.members ?? [])];
          const load = async () => {
            setBusy(true);
            await attempt(async () => {
              const next = await get<Page>(
                `${url}&after=${encodeURIComponent(members.at(-1)?.user ?? "")}`,
              );
              setRest({
                url,
                page: { members: [...(more?.members ?? []), ...next.members], more: next.more },
              });
            });
            setBusy(false);
          };
          return (
            <>
              <Rows members={members} />
              <More show={(more ?? page).more} busy={busy} onMore={() => void load()} />
            </>
          );
        }}
      </Await>
    </Card>
  );
}

function Rows({ members }: { members: readonly Member[] }) {
  const w = words();
  return (
    <Table
      label={w.title}
      rows={members}
      id={(member) => member.user}
      empty={w.none}
      columns={[
        {
          head: w.user,
          lead: true,
          cell: (member) => (
            <>
              <a href={placeOf("people", member.user)}>{member.user}</a>
              {member.nickname && <small class="quiet"> {member.nickname}</small>}
            </>
          ),
        },
        {
          head: w.role,
          cell: (member) => (
            <span class="pills">
              <Pill tone={member.role > 1 ? "accent" : "plain"}>
                {common().roles[member.role] ?? member.role}
              </Pill>
              {member.muted_until > Date.now() && <Pill tone="warn">{w.muted}</Pill>}
            </span>
          ),
        },
        { head: w.joined, cell: (member) => moment(member.joined_at) },
        {
          head: w.since,
          right: true,
          cell: (member) => (
            <>
              {exact(member.since)} {member.until > 0 && <small>{w.until(member.until)}</small>}
            </>
          ),
        },
        { head: w.read, right: true, cell: (member) => exact(member.read) },
        { head: w.delivered, right: true, cell: (member) => exact(member.delivered) },
        { head: w.online, right: true, cell: (member) => member.online },
      ]}
    />
  );
}
