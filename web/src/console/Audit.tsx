/** Who did which administrative thing. */

import { useEffect, useState } from "preact/hooks";
import { Button, dictionary, Input } from "../ui/index.js";
import { moment } from "./format.js";
import { useLoad } from "./loading.js";
import { attempt, Await, Card, More, Note, Pill, Table } from "./parts.js";
import { placeOf } from "./router.js";
import { get } from "./session.js";

const words = dictionary(
  {
    title: "What administrators did",
    text: "A line is on disk before the thing is done. Lines cannot be changed; they go only by age.",
    when: "When",
    who: "Who",
    from: "From",
    what: "What",
    whom: "To what",
    how: "How it ended",
    detail: "More",
    done: "done",
    open: "not known",
    refused: (code: number) => `refused ${code}`,
    none: "No lines yet.",
    nothing: "No line fits.",
    apply: "Apply",
    clear: "Clear",
    actor: "Who (user or key:id)",
    action: "What begins with",
    target: "To what",
  },
  {
    title: "管理操作记录",
    text: "操作执行之前，记录已写入磁盘。记录不可修改，只会因过期而删除。",
    when: "时间",
    who: "操作者",
    from: "来源",
    what: "操作",
    whom: "对象",
    how: "结果",
    detail: "详情",
    done: "完成",
    open: "未知",
    refused: (code: number) => `被拒绝 ${code}`,
    none: "还没有记录。",
    nothing: "没有匹配的记录。",
    apply: "筛选",
    clear: "清除",
    actor: "操作者（用户或 key:id）",
    action: "操作前缀",
    target: "对象",
  },
);

export interface Line {
  id: number;
  at: number;
  actor: string;
  ip: string;
  action: string;
  target: string;
  outcome: number;
  detail: Record<string, unknown>;
}

interface Page {
  lines: Line[];
  more: boolean;
}

const BLANK = { actor: "", action: "", target: "" };

export function AuditPage() {
  const w = words();
  const [draft, setDraft] = useState(BLANK);
  const [only, setOnly] = useState(BLANK);
  const filtered = Object.values(only).some(Boolean);
  return (
    <div class="page">
      <Note icon="shield">{w.text}</Note>
      <form
        class="filters"
        onSubmit={(e) => {
          e.preventDefault();
          setOnly(draft);
        }}
      >
        {(["actor", "action", "target"] as const).map((name) => (
          <Input
            key={name}
            label={w[name]}
            quiet
            placeholder={w[name]}
            value={draft[name]}
            onInput={(value) => setDraft({ ...draft, [name]: value.trim() })}
          />
        ))}
        <Button type="submit" icon="search">
          {w.apply}
        </Button>
        {filtered && (
          <Button
            kind="plain"
            onClick={() => {
              setDraft(BLANK);
              setOnly(BLANK);
            }}
          >
            {w.clear}
          </Button>
        )}
      </form>
      <Card title={w.title} flush>
        <Lines only={only} empty={filtered ? w.nothing : w.none} />
      </Card>
    </div>
  );
}

/** Lines that fit, newest first. Also of one user's page. */
export function Lines({ only, empty }: { only: Partial<typeof BLANK>; empty: string }) {
  const query = new URLSearchParams({ ...only, limit: "50" }).toString();
  const first = useLoad(query, () => get<Page>(`/v1/admin/audit?${query}`));
  const [older, setOlder] = useState<Page | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => setOlder(null), [query, first.value]);
  return (
    <Await of={first}>
      {(page) => {
        const lines = [...page.lines, ...(older?.lines ?? [])];
        const load = async () => {
          setBusy(true);
          await attempt(async () => {
            const next = await get<Page>(`/v1/admin/audit?${query}&before=${lines.at(-1)?.id ?? 0}`);
            setOlder({ lines: [...(older?.lines ?? []), ...next.lines], more: next.more });
          });
          setBusy(false);
        };
        return (
          <>
            <Shown lines={lines} empty={empty} />
            <More show={(older ?? page).more} busy={busy} onMore={() => void load()} />
          </>
        );
      }}
    </Await>
  );
}

function Shown({ lines, empty }: { lines: readonly Line[]; empty: string }) {
  const w = words();
  return (
    <Table
      label={w.title}
      rows={lines}
      id={(line) => line.id}
      empty={empty}
      columns={[
        { head: w.when, cell: (line) => <time class="nowrap">{moment(line.at)}</time> },
        { head: w.who, cell: (line) => <Actor name={line.actor} /> },
        { head: w.what, lead: true, cell: (line) => <code>{line.action}</code> },
        { head: w.whom, cell: (line) => <span class="break">{line.target || "–"}</span> },
        { head: w.how, cell: (line) => <Outcome code={line.outcome} /> },
        { head: w.detail, cell: (line) => <small class="break">{detailWords(line.detail)}</small> },
        { head: w.from, cell: (line) => <span class="nowrap">{line.ip || "–"}</span> },
      ]}
    />
  );
}

function Actor({ name }: { name: string }) {
  return name.startsWith("key:") ? (
    <a href={placeOf("keys")}>{name}</a>
  ) : (
    <a href={placeOf("people", name)}>{name}</a>
  );
}

function Outcome({ code }: { code: number }) {
  const w = words();
  if (code === 0) return <Pill tone="good">{w.done}</Pill>;
  if (code === -1) return <Pill tone="warn">{w.open}</Pill>;
  return <Pill tone="bad">{w.refused(code)}</Pill>;
}

/** `device=phone, admin=false` */
export function detailWords(detail: Record<string, unknown>): string {
  return Object.entries(detail)
    .filter(([, value]) => value !== "" && value !== null)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");
}
