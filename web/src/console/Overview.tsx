/** The node at one look. */

import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { IconButton } from "../ui/index.js";
import { Chart, type Line } from "./Chart.js";
import { bytes, count, exact, millis, moment, percent, rate, span } from "./format.js";
import { Glyph, type GlyphName } from "./glyphs.js";
import { words } from "./overviewWords.js";
import { Card, Choice, Facts, Problem, Table } from "./parts.js";
import { append, newest, newestKnown, NOTHING, recent, sparkline, type Answer, type Kept } from "./series.js";
import { get, Offline, Refused } from "./session.js";

const EVERY_MS = 2000;

// Kept beside the page, so that coming back to it shows the charts at once.
const kept = signal<Kept>(NOTHING);
const latest = signal<Answer | null>(null);
const wrong = signal<Refused | Offline | null>(null);

async function refresh(): Promise<void> {
  try {
    const since = kept.value.at.at(-1) ?? 0;
    const answer = await get<Answer>(`/v1/admin/overview?since=${since}`);
    if (latest.value && latest.value.started_at !== answer.started_at) kept.value = NOTHING;
    kept.value = append(kept.value, answer, answer.steps);
    latest.value = answer;
    wrong.value = null;
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Offline)) throw error;
    wrong.value = error;
  }
}

export function Overview() {
  const [minutes, setMinutes] = useState(5);
  const [paused, setPaused] = useState(false);
  useEffect(() => {
    if (paused) return;
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const turn = async () => {
      if (document.visibilityState === "visible") await refresh();
      if (!over) timer = setTimeout(() => void turn(), EVERY_MS);
    };
    void turn();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [paused]);
  const answer = latest.value;
  const view = answer ? recent(kept.value, minutes * 60_000, answer.step_ms) : NOTHING;
  const w = words();
  return (
    <div class="page">
      {wrong.value && <Problem error={wrong.value} />}
      <div class="page-tools">
        <Live answer={answer} paused={paused} />
        <Choice
          label={w.range}
          value={minutes}
          options={[1, 5, 15].map((n) => [n, w.minutes(n)] as const)}
          onChange={setMinutes}
        />
        <IconButton
          icon={paused ? "play" : "pause"}
          label={paused ? w.go : w.pause}
          pressed={paused}
          onClick={() => setPaused(!paused)}
        />
      </div>
      <Tiles view={view} answer={answer} />
      <Charts view={view} window={minutes * 60_000} />
      {answer && (
        <div class="columns">
          <Server answer={answer} />
          <Calls answer={answer} />
        </div>
      )}
    </div>
  );
}

/** Whether the numbers are of now, and of which server. */
function Live({ answer, paused }: { answer: Answer | null; paused: boolean }) {
  const w = words();
  const state = wrong.value ? "offline" : paused ? "away" : "online";
  const text = wrong.value ? w.lost : paused ? w.paused : w.live;
  return (
    <p class="live">
      <span class={`presence presence-${state}`}>
        <span class="presence-dot" />
        {text}
      </span>
      {answer && (
        <>
          <span>{answer.node}</span>
          <span>{`hongyan ${answer.version}`}</span>
          <span>{`${w.uptime} ${span(answer.now - answer.started_at)}`}</span>
        </>
      )}
    </p>
  );
}

interface TileProps {
  glyph: GlyphName;
  name: string;
  value: string;
  more: string;
  line: string;
  bad?: boolean;
}

function Tile(props: TileProps) {
  return (
    <div class={`tile ${props.bad ? "tile-bad" : ""}`}>
      <dt>
        <Glyph name={props.glyph} size={15} />
        {props.name}
      </dt>
      <dd>
        <b>{props.value}</b>
        {props.more && <small>{props.more}</small>}
      </dd>
      <svg class="spark" viewBox="0 0 120 28" preserveAspectRatio="none" aria-hidden="true">
        <polyline points={props.line} />
      </svg>
    </div>
  );
}

function Tiles({ view, answer }: { view: Kept; answer: Answer | null }) {
  const w = words();
  const totals = answer?.totals ?? {};
  const line = (name: string) => sparkline((view.series[name] ?? []).slice(-60), 120, 28);
  const total = (name: string) => w.inTotal(count(totals[name] ?? 0));
  const troubles = (totals["behind"] ?? 0) + (totals["gaps"] ?? 0);
  return (
    <dl class="tiles">
      <Tile
        glyph="plug"
        name={w.connections}
        value={count(newest(view, "connections"))}
        more={total("accepted")}
        line={line("connections")}
      />
      <Tile
        glyph="people"
        name={w.users}
        value={count(newest(view, "users"))}
        more=""
        line={line("users")}
      />
      <Tile
        glyph="up"
        name={w.sends}
        value={rate(newest(view, "sends"))}
        more=""
        line={line("sends")}
      />
      <Tile
        glyph="down"
        name={w.deliveries}
        value={rate(newest(view, "deliveries"))}
        more={total("deliveries")}
        line={line("deliveries")}
      />
      <Tile
        glyph="clock"
        name={w.ack}
        value={millis(newestKnown(view, "ack_p99"))}
        more={`p50 ${millis(newestKnown(view, "ack_p50"))}`}
        line={line("ack_p99")}
      />
      <Tile
        glyph="stack"
        name={w.queued}
        value={bytes(newest(view, "queued"))}
        more=""
        line={line("queued")}
      />
      <Tile
        glyph="warn"
        name={w.troubles}
        value={`${count(totals["behind"] ?? 0)} · ${count(totals["gaps"] ?? 0)}`}
        more=""
        line={line("behind")}
        bad={troubles > 0}
      />
    </dl>
  );
}

function Charts({ view, window }: { view: Kept; window: number }) {
  const w = words();
  const line = (name: string, label: string, color: number, area = false): Line => ({
    name,
    label,
    color,
    area,
  });
  const shared = { kept: view, window };
  return (
    <div class="charts">
      <Chart
        {...shared}
        title={w.chartMessages}
        format={count}
        lines={[line("deliveries", w.delivered, 1, true), line("sends", w.sent, 0)]}
      />
      <Chart
        {...shared}
        title={w.chartAck}
        format={millis}
        least={2}
        lines={[line("ack_p99", "p99", 2), line("ack_p50", "p50", 0, true)]}
      />
      <Chart
        {...shared}
        title={w.chartConnections}
        format={count}
        least={4}
        lines={[line("connections", w.open, 1, true), line("users", w.users, 0)]}
      />
      <Chart
        {...shared}
        title={w.chartStore}
        format={count}
        lines={[line("commits", w.commits, 1, true), line("groups", w.groups, 0)]}
      />
      <Chart
        {...shared}
        title={w.chartLag}
        format={millis}
        least={5}
        lines={[line("lag_worst", w.lag, 2, true)]}
      />
      <Chart
        {...shared}
        title={w.chartQueues}
        format={bytes}
        binary
        least={1024}
        lines={[line("queued", w.bytes, 2, true)]}
      />
      <Chart
        {...shared}
        title={w.chartTrouble}
        format={count}
        lines={[
          line("refusals", w.refusals, 1),
          line("behind", w.behind, 2),
          line("gaps", w.gaps, 3),
        ]}
      />
      <Chart
        {...shared}
        title={w.chartCpu}
        format={percent}
        least={0.1}
        lines={[line("cpu", w.cpu, 0, true)]}
      />
      <Chart
        {...shared}
        title={w.chartMemory}
        format={bytes}
        binary
        least={32 * 1024 * 1024}
        lines={[line("memory", w.memory, 3, true)]}
      />
    </div>
  );
}

function Server({ answer }: { answer: Answer }) {
  const w = words();
  const { totals } = answer;
  const n = (name: string) => exact(totals[name] ?? 0);
  return (
    <Card title={w.server}>
      <Facts
        facts={[
          [w.version, answer.version],
          [w.node, answer.node],
          [w.uptime, span(answer.now - answer.started_at)],
          [w.since, moment(answer.started_at)],
          [w.accepted, n("accepted")],
          [w.refused, n("refused")],
          [w.logins, `${n("logins")} (${n("login_failures")})`],
          [w.data, bytes(totals["store_bytes"])],
          [w.storeQueue, n("store_queued")],
          [w.storeState, totals["store_failed"] ? w.storeBad : w.storeGood],
        ]}
      />
    </Card>
  );
}

function Calls({ answer }: { answer: Answer }) {
  const w = words();
  const most = answer.calls[0]?.count ?? 1;
  return (
    <Card title={w.calls} flush>
      <Table
        label={w.calls}
        rows={answer.calls}
        id={(row) => `${row.name} ${row.code}`}
        empty={w.noCalls}
        columns={[
          { head: w.call, lead: true, cell: (row) => <code>{row.name}</code> },
          {
            head: w.answer,
            cell: (row) =>
              row.code ? <span class="pill pill-warn">{row.code}</span> : <span class="pill pill-good">{w.acked}</span>,
          },
          { head: w.times, right: true, cell: (row) => exact(row.count) },
          {
            head: w.share,
            cell: (row) => (
              <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                <rect width="100" height="6" class="bar-back" />
                <rect width={Math.max(1, (100 * row.count) / most)} height="6" class="bar-fill" />
              </svg>
            ),
          },
        ]}
      />
    </Card>
  );
}

