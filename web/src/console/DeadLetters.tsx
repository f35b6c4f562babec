/** Entries that a webhook gave up: shown, chosen, sent again. */

import { useState } from "preact/hooks";
import { Button, confirm, dictionary, toast } from "../ui/index.js";
import { moment } from "./format.js";
import { useLoad } from "./loading.js";
import { attempt, Await, Card, More, Pill, Table } from "./parts.js";
import { placeOf } from "./router.js";
import { get, post } from "./session.js";

const words = dictionary(
  {
    title: "Dead letters",
    none: "Nothing was given up.",
    choose: "Choose",
    log: "Log",
    seq: "Seq",
    type: "Type",
    at: "Given up",
    tries: "Tries",
    error: "Why",
    again: "to be sent again",
    replay: (n: number) => (n ? `Send ${n} again` : "Send all again"),
    sure: (n: number) => `Send all ${n} dead letters again?`,
    text: "They are sent beside the new entries; receivers know repeats by the event's id.",
    yes: "Send again",
    queued: (n: number) => `${n} will be sent again`,
  },
  {
    title: "死信",
    none: "没有被放弃的条目。",
    choose: "选择",
    log: "日志",
    seq: "序号",
    type: "类型",
    at: "放弃时间",
    tries: "尝试次数",
    error: "原因",
    again: "等待重发",
    replay: (n: number) => (n ? `重发 ${n} 条` : "全部重发"),
    sure: (n: number) => `重发全部 ${n} 条死信？`,
    text: "它们会与新条目同时发送；接收方可用事件 ID 识别重复。",
    yes: "重发",
    queued: (n: number) => `${n} 条将重发`,
  },
);

interface Dead {
  pos: number;
  log: string;
  seq: number;
  type: string;
  at: number;
  tries: number;
  error: string;
  replay: boolean;
}

interface Page {
  dead: Dead[];
  more: boolean;
}

export interface DeadLettersProps {
  path: string;
  /** How many there are, as the webhook says. */
  dead: number;
  changed: () => void;
}

export function DeadLetters({ path, dead, changed }: DeadLettersProps) {
  const w = words();
  const first = useLoad(`${path} ${dead}`, () => get<Page>(`${path}/dead?limit=50`));
  const [rest, setRest] = useState<Page | null>(null);
  const [chosen, setChosen] = useState<readonly number[]>([]);
  const [busy, setBusy] = useState(false);
  const replay = async () => {
    const all = !chosen.length;
    if (all && !(await confirm({ title: w.sure(dead), text: w.text, yes: w.yes }))) return;
    let queued = 0;
    const done = await attempt(async () => {
      const body = all ? { all: true } : { ids: chosen };
      queued = (await post<{ queued: number }>(`${path}/replay`, body)).queued;
    });
    if (!done) return;
    toast(w.queued(queued), { kind: "good" });
    setChosen([]);
    setRest(null);
    first.again();
    changed();
  };
  return (
    <Card
      title={w.title}
      flush
      tools={
        dead > 0 && (
          <Button icon="retry" onClick={() => void replay()}>
            {w.replay(chosen.length)}
          </Button>
        )
      }
    >
      <Await of={first}>
        {(page) => {
          const rows = [...page.dead, ...(rest?.dead ?? [])];
          const load = async () => {
            setBusy(true);
            await attempt(async () => {
              const next = await get<Page>(`${path}/dead?limit=50&after=${rows.at(-1)?.pos ?? 0}`);
              setRest({ dead: [...(rest?.dead ?? []), ...next.dead], more: next.more });
            });
            setBusy(false);
          };
          return (
            <>
              <Rows rows={rows} chosen={chosen} onChosen={setChosen} />
              <More show={(rest ?? page).more} busy={busy} onMore={() => void load()} />
            </>
          );
        }}
      </Await>
    </Card>
  );
}

interface RowsProps {
  rows: readonly Dead[];
  chosen: readonly number[];
  onChosen: (chosen: readonly number[]) => void;
}

function Rows({ rows, chosen, onChosen }: RowsProps) {
  const w = words();
  return (
    <Table
      label={w.title}
      rows={rows}
      id={(row) => row.pos}
      empty={w.none}
      columns={[
        {
          head: w.choose,
          lead: true,
          cell: (row) => (
            <input
              type="checkbox"
              class="check"
              aria-label={`${w.choose}: ${row.log} ${row.seq}`}
              checked={chosen.includes(row.pos)}
              onChange={(e) =>
                onChosen(
                  e.currentTarget.checked
                    ? [...chosen, row.pos]
                    : chosen.filter((pos) => pos !== row.pos),
                )
              }
            />
          ),
        },
        {
          head: w.log,
          cell: (row) => (
            <a class="break" href={placeOf("logs", row.log)}>
              {row.log}
            </a>
          ),
        },
        { head: w.seq, right: true, cell: (row) => row.seq },
        { head: w.type, cell: (row) => row.type },
        { head: w.at, cell: (row) => <span class="nowrap">{moment(row.at)}</span> },
        { head: w.tries, right: true, cell: (row) => row.tries },
        {
          head: w.error,
          cell: (row) =>
            row.replay ? <Pill tone="accent">{w.again}</Pill> : <span class="break">{row.error}</span>,
        },
      ]}
    />
  );
}
