"""What the page on webhooks shows works."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path

import pytest

from hongyan.adapters.webhook import WebhookPoster
from hongyan.bench.server import free_port
from hongyan.engine.backends.asking import HookAnswer, HookQuestion
from hongyan.engine.backends.breaker import FAILURES, MOST_PAUSE_S, PAUSE_S
from hongyan.engine.backends.events import Event
from hongyan.engine.backends.signing import new_secret, sign
from hongyan.transport.webhooks import WebhookRequest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/webhooks.md").read_text("utf-8")
SNIPPET = ROOT / "docs/snippets/take_webhooks.py"


async def test_the_receiver_takes_what_is_signed_once_and_nothing_else() -> None:
    port, secret = free_port(), new_secret()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SNIPPET), str(port), secret.text, stdout=asyncio.subprocess.PIPE
    )
    poster = WebhookPoster(allow_private=True)
    body = b'{"id":"msg_1","type":"direct.message","log":"main/d/a~b"}'
    now_ms = int(time.time() * 1000)
    good = sign([new_secret(), secret], "msg_1", now_ms, body)

    async def post(headers: dict[str, str], data: bytes = body) -> int:
        url = f"http://127.0.0.1:{port}/"
        return (await poster.post(url, headers, data, timeout_s=5, most=9)).status

    try:
        async with asyncio.timeout(20):
            while (status := await post(good)) == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # it is not listening yet
        assert status == 204
        assert await post(good) == 204
        assert await post(good, body + b" ") == 401
        assert await post({**good, "webhook-id": "msg_2"}) == 401
        assert await post(sign([secret], "msg_1", now_ms - 600_000, body)) == 401
        assert await post(sign([new_secret()], "msg_1", now_ms, body)) == 401
    finally:
        process.terminate()
        said, _ = await process.communicate()
        await poster.close()
    assert said == b"direct.message main/d/a~b\n"


def test_the_examples_have_the_fields_of_the_structs() -> None:
    event, question = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.S))
    assert tuple(event) == Event.__struct_fields__
    assert set(question) == set(HookQuestion.__struct_fields__)
    for field in HookAnswer.__struct_fields__:
        assert f'"{field}"' in PAGE


@pytest.mark.parametrize("field", WebhookRequest.__struct_fields__)
def test_the_request_is_told_whole(field: str) -> None:
    row = next(line for line in PAGE.splitlines() if "POST /v1/webhooks`" in line)
    assert field in row


def test_the_numbers_are_those_of_the_code() -> None:
    from hongyan.config import Config

    settings = Config().webhooks
    assert f"{settings.tries} attempts failed" in PAGE
    assert f"failed for {settings.max_age_s // 86_400} days" in PAGE
    assert f"taken for {settings.disable_after_s // 86_400} days" in PAGE
    assert f"{settings.dead_letters:,} dead letters" in PAGE
    assert settings.timeout_ms == 10_000
    assert (FAILURES, PAUSE_S, MOST_PAUSE_S) == (5, 5.0, 60.0)
