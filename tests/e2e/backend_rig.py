"""A back end with API keys, on the service of `http_rig`."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
from http_rig import MAIN, Service, text


async def key(service: Service, *scopes: str, user: str = "") -> str:
    _, made = await service.node.authenticator.create_key(MAIN, scopes, user=user)
    return made


async def ask(
    service: Service, method: str, path: str, token: str, body: Any = None, **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = None if body is None else msgspec.json.encode(body)
    return await service.http.request(
        method, path, content=content, headers={"Authorization": f"Bearer {token}", **named}
    )


async def done(answer: Any, status: int = 200) -> Any:
    response: httpx.Response = await answer
    assert response.status_code == status, response.text
    return response.json()


async def group(service: Service, owner: str, *others: str) -> str:
    call = {"name": "chat.create", "args": {"title": "Geese", "members": list(others)}}
    made = await service.post("/v1/calls", call, owner, Idempotency_Key="group")
    assert made.status_code == 200, made.text
    return str(made.json()["log"])


async def say(service: Service, log: str, token: str, *words: str) -> None:
    for word in words:
        op = f"op-{word.removeprefix('secret')}"
        sent = await service.post(f"/v1/logs/{log}/calls", text(word), token, Idempotency_Key=op)
        assert sent.status_code == 200, sent.text


async def texts(service: Service, log: str, token: str) -> list[str]:
    page = await done(ask(service, "GET", f"/v1/logs/{log}/entries?limit=200", token))
    bodies = [e["body"] for e in page["entries"] if e["type"] == "message"]
    return [body["content"]["text"] if body else "" for body in bodies]
