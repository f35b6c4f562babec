from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from hongyan.config import Telemetry
from hongyan.telemetry import (
    MAX_CALL_SERIES,
    Histogram,
    Metrics,
    configure,
    measure_loop_lag,
    time_collector,
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield io.StringIO()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in before:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


def samples(metrics: Metrics, **store: float) -> dict[str, float]:
    """All samples by name and labels, read by the library's own parser."""
    text = metrics.render(store or None).decode()
    return {
        sample.name + "".join(f",{key}={sample.labels[key]}" for key in sorted(sample.labels)):
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }  # fmt: skip


def test_plain_fields_are_shown() -> None:
    metrics = Metrics()
    metrics.connections += 3
    metrics.sessions += 2
    metrics.deliveries_total += 7
    metrics.behind_total += 1
    shown = samples(metrics)
    assert shown["hongyan_connections"] == 3
    assert shown["hongyan_sessions"] == 2
    assert shown["hongyan_deliveries_total"] == 7
    assert shown["hongyan_behind_total"] == 1
    assert shown["process_resident_memory_bytes"] > 0


def test_every_integer_field_is_shown() -> None:
    metrics = Metrics()
    fields = [name for name, value in vars(metrics).items() if isinstance(value, int)]
    for number, name in enumerate(fields, start=1):
        setattr(metrics, name, number)
    shown = samples(metrics)
    assert {name: shown.get(f"hongyan_{name}") for name in fields} == {
        name: number for number, name in enumerate(fields, start=1)
    }


def test_calls_by_name_and_code() -> None:
    metrics = Metrics()
    metrics.called("chat.send")
    metrics.called("chat.send")
    metrics.called("chat.send", 303)
    shown = samples(metrics)
    assert shown["hongyan_calls_total,code=0,name=chat.send"] == 2
    assert shown["hongyan_calls_total,code=303,name=chat.send"] == 1


def test_call_series_are_bounded() -> None:
    metrics = Metrics()
    for n in range(MAX_CALL_SERIES + 100):
        metrics.called(f"call{n}")
    shown = {name: value for name, value in samples(metrics).items() if "calls_total" in name}
    assert len(shown) == MAX_CALL_SERIES + 1
    assert shown["hongyan_calls_total,code=0,name=other"] == 100


def test_histogram_counts_up_to_and_including_its_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.1):
        histogram.add(value)
    assert histogram.buckets() == [("1.0", 2), ("2.0", 4), ("+Inf", 5)]
    assert histogram.total == pytest.approx(7.1)


def test_ack_times_are_a_histogram() -> None:
    metrics = Metrics()
    metrics.ack_seconds.add(0.004)
    metrics.ack_seconds.add(99)
    shown = samples(metrics)
    assert shown["hongyan_ack_seconds_bucket,le=0.0025"] == 0
    assert shown["hongyan_ack_seconds_bucket,le=0.005"] == 1
    assert shown["hongyan_ack_seconds_bucket,le=+Inf"] == 2
    assert shown["hongyan_ack_seconds_count"] == 2
    assert shown["hongyan_ack_seconds_sum"] == pytest.approx(99.004)


def test_pauses_of_the_collector_are_timed() -> None:
    metrics = Metrics()
    name = "hongyan_gc_pause_seconds_count"
    gc.collect()
    assert samples(metrics)[name] == 0
    with time_collector(metrics.gc_pause_seconds):
        gc.collect()
        gc.collect()
    gc.collect()
    assert samples(metrics)[name] == 2
    assert 0 < metrics.gc_pause_seconds.total < 60


def test_gauges_and_store_are_read_when_asked() -> None:
    metrics = Metrics()
    waiting = [5]
    metrics.gauge("send_queue_bytes", "Bytes that wait.", lambda: waiting[0])
    assert samples(metrics, commits=1.5)["hongyan_send_queue_bytes"] == 5
    waiting[0] = 6
    shown = samples(metrics)
    assert shown["hongyan_send_queue_bytes"] == 6
    assert shown["hongyan_store_commits"] == 1.5  # that of the last time


def test_two_nodes_in_one_process_do_not_mix() -> None:
    one, two = Metrics(), Metrics()
    one.connections += 1
    assert samples(two)["hongyan_connections"] == 0


async def test_loop_lag_is_measured() -> None:
    metrics = Metrics()
    task = asyncio.create_task(measure_loop_lag(metrics, 0.001))
    async with asyncio.timeout(10):
        while samples(metrics)["hongyan_loop_lag_seconds_count"] < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_json_lines_for_ours_and_others(stream: io.StringIO) -> None:
    configure(Telemetry(format="json"), stream)
    structlog.get_logger("x").info("ours", user="alice", line="a\nb")
    logging.getLogger("library").warning("theirs %d", 1)
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger("x").exception("broken")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs 1", "broken"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert (lines[0]["user"], lines[0]["line"]) == ("alice", "a\nb")
    assert "ValueError: boom" in lines[2]["exception"]
    assert all(line["timestamp"].endswith("Z") for line in lines)


def test_a_stream_that_is_no_terminal_gets_json(stream: io.StringIO) -> None:
    configure(Telemetry(), stream)
    structlog.get_logger("x").info("hello")
    assert json.loads(stream.getvalue())["event"] == "hello"


def test_console_lines_for_people(stream: io.StringIO) -> None:
    configure(Telemetry(format="console"), stream)
    structlog.get_logger("x").info("hello", user="alice")
    assert "hello" in stream.getvalue() and "user=alice" in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "shown"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_lines_below_the_level_are_left_out(stream: io.StringIO, level: str, shown: int) -> None:
    configure(Telemetry(level=level, format="json"), stream)  # type: ignore[arg-type]
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger("x"), name)("ours")
        getattr(logging.getLogger("library"), name)("theirs")
    lines = stream.getvalue().splitlines()
    assert len([line for line in lines if '"ours"' in line]) == shown
    assert len([line for line in lines if '"theirs"' in line]) == shown


@pytest.mark.parametrize("format_", ["json", "console"])
def test_A18_secrets_are_in_no_log_line(stream: io.StringIO, format_: str) -> None:
    configure(Telemetry(format=format_), stream)  # type: ignore[arg-type]
    structlog.get_logger("x").info("in", token="s3cr3t", password="s3cr3t", user="alice")
    structlog.get_logger("x").bind(authorization="s3cr3t", secret="s3cr3t").info("again")
    assert "s3cr3t" not in stream.getvalue()
    assert "alice" in stream.getvalue()
