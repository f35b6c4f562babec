/** Connections of a user, or of those who follow a log. */

import { dictionary } from "../ui/index.js";
import { ago, bytes } from "./format.js";
import { Pill, Table, type Column } from "./parts.js";
import { placeOf } from "./router.js";

const words = dictionary(
  {
    user: "User",
    device: "Device",
    cls: "Class",
    ip: "Address",
    since: "Connected",
    codec: "Codec",
    queue: "Waiting",
    behind: (n: number) => `behind in ${n}`,
    blocked: "socket full",
    opening: "opening",
  },
  {
    user: "用户",
    device: "设备",
    cls: "类别",
    ip: "地址",
    since: "已连接",
    codec: "编码",
    queue: "等待",
    behind: (n: number) => `${n} 个日志落后`,
    blocked: "套接字已满",
    opening: "正在打开",
  },
);

export interface Connection {
  user: string;
  device: string;
  class: string;
  ip: string;
  since: number;
  codec: string;
  state: string;
  queued_bytes: number;
  behind: number;
  blocked: boolean;
}

export interface ConnectionTableProps {
  rows: readonly Connection[];
  empty: string;
  label: string;
  /** Show whose they are. */
  users?: boolean;
}

export function ConnectionTable(props: ConnectionTableProps) {
  const w = words();
  const user: Column<Connection> = {
    head: w.user,
    lead: true,
    cell: (row) => <a href={placeOf("people", row.user)}>{row.user}</a>,
  };
  return (
    <Table
      label={props.label}
      rows={props.rows}
      id={(row) => `${row.user} ${row.device} ${row.since}`}
      empty={props.empty}
      columns={[
        ...(props.users ? [user] : []),
        {
          head: w.device,
          lead: !props.users,
          cell: (row) => (
            <>
              <code class="break">{row.device}</code>
              {row.class && <small class="quiet"> {row.class}</small>}
            </>
          ),
        },
        { head: w.ip, cell: (row) => row.ip },
        { head: w.since, cell: (row) => <span class="nowrap">{ago(row.since)}</span> },
        { head: w.codec, cell: (row) => row.codec },
        {
          head: w.queue,
          right: true,
          cell: (row) => (
            <span class="pills">
              {row.behind > 0 && <Pill tone="bad">{w.behind(row.behind)}</Pill>}
              {row.blocked && <Pill tone="warn">{w.blocked}</Pill>}
              {row.state !== "open" && <Pill>{w.opening}</Pill>}
              <span class={row.queued_bytes ? "" : "quiet"}>{bytes(row.queued_bytes)}</span>
            </span>
          ),
        },
      ]}
    />
  );
}
