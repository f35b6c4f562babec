/** The entries of a log. What people wrote is shown only after it was asked for, and put down. */

import { useEffect, useState } from "preact/hooks";
import { askLine, Button, dictionary } from "../ui/index.js";
import { bytes, moment } from "./format.js";
import { attempt, Card, More, Note, Pill, Table } from "./parts.js";
import { placeOf } from "./router.js";
import { get, post } from "./session.js";

const words = dictionary(
  {
    title: "Entries",
    seq: "Seq",
    type: "Type",
    from: "From",
    at: "At",
    target: "Changes",
    size: "Size",
    body: "Contents",
    hidden: "not shown",
    show: "Show contents",
    showTitle: "Show what people wrote?",
    reason: "Why? This stands in the audit list, with your name.",
    yes: "Show and put down",
    shown: "Contents are shown. Each page you load is put down in the audit list.",
    hide: "Hide again",
    none: "No entries.",
    newer: "There are newer entries",
    reload: "Load again",
    erased: "erased",
  },
  {
    title: "条目",
    seq: "序号",
    type: "类型",
    from: "来自",
    at: "时间",
    target: "更改",
    size: "大小",
    body: "内容",
    hidden: "未显示",
    show: "显示内容",
    showTitle: "显示用户所写的内容？",
    reason: "原因？它会和你的名字一起写入审计记录。",
    yes: "显示并记录",
    shown: "内容已显示。你加载的每一页都会写入审计记录。",
    hide: "重新隐藏",
    none: "没有条目。",
    newer: "有更新的条目",
    reload: "重新加载",
    erased: "已清除",
  },
);

interface Entry {
  seq: number;
  type: string;
  from: string;
  at: number;
  body: unknown;
  target?: number;
  slot?: string;
  op?: string;
  device?: string;
}

interface Page {
  entries: Entry[];
  sizes: number[];
  head: number;
  more: boolean;
}

interface Sized extends Entry {
  size: number;
}

const LIMIT = 30;

/** The words of a body that has some; "" for all others. */
export function wordsIn(body: unknown): string {
  const content = (body as { content?: { text?: unknown } } | null)?.content;
  return typeof content?.text === "string" ? content.text : "";
}

/** What was written, as text where it is text; else as it is stored. */
function Body({ body }: { body: unknown }) {
  const text = wordsIn(body);
  const raw = JSON.stringify(body);
  return text ? (
    <span class="body" title={raw}>
      {text}
    </span>
  ) : (
    <code class="body">{raw}</code>
  );
}

export function Entries({ path, head }: { path: string; log: string; head: number }) {
  const w = words();
  const [entries, setEntries] = useState<Sized[]>([]);
  const [more, setMore] = useState(false);
  const [busy, setBusy] = useState(false);
  const [reason, setReason] = useState<string | null>(null); // null: contents are not shown
  const load = async (before: number, why: string | null) => {
    setBusy(true);
    await attempt(async () => {
      const page =
        why === null
          ? await get<Page>(`${path}/entries?limit=${LIMIT}&before=${before}`)
          : await post<Page>(`${path}/contents`, { limit: LIMIT, before, reason: why });
      const sized = page.entries.map((entry, i) => ({ ...entry, size: page.sizes[i] ?? 0 }));
      sized.reverse();
      setEntries((old) => (before ? [...old, ...sized] : sized));
      setMore(page.more);
      setReason(why);
    });
    setBusy(false);
  };
  useEffect(() => void load(0, null), [path]);
  const show = async () => {
    const why = await askLine({ title: w.showTitle, label: w.reason, yes: w.yes, maxLength: 200 });
    if (why !== null) await load(0, why);
  };
  const newest = entries[0]?.seq ?? 0;
  return (
    <Card
      title={w.title}
      flush
      tools={
        reason === null ? (
          <Button icon="shield" disabled={!entries.length} onClick={() => void show()}>
            {w.show}
          </Button>
        ) : (
          <Button icon="shield" onClick={() => void load(0, null)}>
            {w.hide}
          </Button>
        )
      }
    >
      {reason !== null && <Note icon="warn">{w.shown}</Note>}
      {newest > 0 && head > newest && (
        <div class="newer">
          <Button kind="plain" icon="retry" busy={busy} onClick={() => void load(0, reason)}>
            {`${w.newer} (${head - newest})`}
          </Button>
        </div>
      )}
      <Table
        label={w.title}
        rows={entries}
        id={(entry) => entry.seq}
        empty={busy ? "" : w.none}
        class="entries"
        columns={[
          { head: w.seq, right: true, lead: true, cell: (entry) => entry.seq },
          {
            head: w.type,
            cell: (entry) => <Pill tone={entry.type === "message" ? "accent" : "plain"}>{entry.type}</Pill>,
          },
          {
            head: w.from,
            cell: (entry) =>
              entry.from ? <a href={placeOf("people", entry.from)}>{entry.from}</a> : "–",
          },
          { head: w.at, cell: (entry) => <time class="nowrap">{moment(entry.at)}</time> },
          {
            head: w.target,
            cell: (entry) =>
              entry.target ? `${entry.target}${entry.slot ? ` · ${entry.slot}` : ""}` : "–",
          },
          { head: w.size, right: true, cell: (entry) => bytes(entry.size) },
          {
            head: w.body,
            cell: (entry) =>
              reason === null ? (
                <span class="quiet">{w.hidden}</span>
              ) : (
                <Body body={entry.body} />
              ),
          },
        ]}
      />
      <More show={more} busy={busy} onMore={() => void load(entries.at(-1)?.seq ?? 0, reason)} />
    </Card>
  );
}
