"""HA: whatever is sent, the answer is one that the OpenAPI document describes, never a fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.openapi.checks import JsonSchemaError
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from hongyan.bench.server import ServerProcess
from hongyan.transport.problem import PROBLEM_JSON, Problem

pytestmark = pytest.mark.slow

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_bytes())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
EXAMPLES = 8  # of each operation, well made and badly made
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,  # a failure of today is one of tomorrow
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
LOOSE = ("login_ip", "login_user")


@schemathesis.serializer("application/offset+octet-stream")
def octets(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


class Target:
    """A server with an administrator, two users who talk, and a token of each sort."""

    def __init__(self, server: ServerProcess) -> None:
        self.base = f"http://127.0.0.1:{server.port}"
        claimed = self._post("/v1/claim", {"code": server.code, "password": "correct horse"})
        self.admin = str(claimed["token"])
        self.user = server.token("ann")
        httpx.get(f"{self.base}/v1/me", headers={"Authorization": f"Bearer {server.token('bob')}"})
        call = {"name": "chat.open", "args": {"user": "bob"}}
        self.log = str(self._post("/v1/calls", call, self.user)["log"])
        said = {"name": "chat.send", "args": {"content": {"type": "text", "text": "hi"}}}
        self._post(f"/v1/logs/{self.log}/calls", said, self.user)
        scopes = ["users", "send_as", "read", "send"]
        self.key = str(self._post("/v1/keys", {"scopes": scopes, "user": "bob"}, self.admin)["key"])

    def _post(self, path: str, body: Any, token: str = "") -> Any:
        headers = {"Idempotency-Key": uuid4().hex} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        got = httpx.post(f"{self.base}{path}", json=body, headers=headers)
        assert got.status_code < 300, got.text
        return got.json()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    quick = [f'limits.rates.{name}={{"rate":0,"burst":1}}' for name in LOOSE]
    hashes = ("accounts.hash_memory_kib=8192", "accounts.hash_rounds=1")
    hello = "limits.handshake_ms=500"  # what says no hello is not waited for long
    data = tmp_path_factory.mktemp("schema") / "data"
    with ServerProcess(data, core=None, settings=(*quick, *hashes, hello)) as server:
        yield Target(server)


def sent(case: Any, target: Target, token: str) -> requests.Response:
    """The answer; of a stream that does not end, its head."""
    given = case.as_transport_kwargs(base_url=target.base)
    given["headers"] = {**dict(given.get("headers") or {}), "Authorization": f"Bearer {token}"}
    if not token:
        del given["headers"]["Authorization"]
    try:
        answer = requests.request(**given, stream=True, timeout=20, allow_redirects=False)
    except (requests.exceptions.InvalidHeader, UnicodeEncodeError):
        pytest.skip("not a request")
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        answer._content = b""
        answer.close()
    else:
        _ = answer.content
    return answer


def judge(case: Any, answer: requests.Response) -> None:
    """As the document says, errors as RFC 9457 says, and no fault."""
    told = (case.method, case.path, answer.status_code, answer.text[:300])
    assert answer.status_code < 500 or answer.status_code == 503, told
    if answer.status_code >= 400 and case.method != "HEAD":
        assert answer.headers["content-type"] == PROBLEM_JSON, told
        problem = msgspec.json.decode(answer.content, type=Problem)
        assert problem.status == answer.status_code and problem.title, told
        assert (problem.code > 0) == problem.type.startswith("urn:hongyan:code:"), told
        if answer.status_code in (429, 503):
            assert int(answer.headers["retry-after"]) >= 1, told
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        assert str(answer.status_code) in case.operation.definition.raw["responses"], told
        return
    case.validate_response(answer, checks=CHECKS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_HA18_any_request_is_answered_as_described(operation: Any, target: Target) -> None:
    modes = [GenerationMode.POSITIVE]
    if operation.body or operation.query or operation.headers:  # else nothing can be made badly
        modes.append(GenerationMode.NEGATIVE)
    cases = [operation.as_strategy(generation_mode=mode) for mode in modes]

    @QUICK
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        for strategy in cases:
            case = data.draw(strategy)
            names = case.path_parameters or {}
            if "log" in names and data.draw(st.booleans()):
                names["log"] = target.log
            if "user" in names and data.draw(st.booleans()):
                names["user"] = "bob"
            if case.query and "wait" in case.query:
                case.query["wait"] = 0
            token = data.draw(st.sampled_from([target.admin, target.user, target.key, ""]))
            judge(case, sent(case, target, token))

    run()


def test_HA18_an_answer_that_is_not_described_is_noticed() -> None:
    operation = next(one for one in OPERATIONS if one.label == "GET /v1/me")
    case = operation.Case()
    answer = requests.Response()
    answer.status_code, answer._content = 200, b'{"tenant": 7}'
    answer.headers["content-type"] = "application/json"
    answer.request = requests.Request("GET", "http://x/v1/me").prepare()
    with pytest.raises(BaseExceptionGroup) as found:
        judge(case, answer)
    assert found.group_contains(JsonSchemaError)
    answer.status_code, answer._content = 500, b"oops"
    with pytest.raises(AssertionError):
        judge(case, answer)
