"""A: what administrators do over HTTP, against a real server."""

from __future__ import annotations

import httpx
import pytest

from hongyan.bench.server import ServerProcess


@pytest.fixture
def base(server: ServerProcess) -> str:
    return f"http://127.0.0.1:{server.port}"


def claim(base: str, server: ServerProcess) -> str:
    """Become the first administrator with the printed code."""
    answer = httpx.post(
        f"{base}/v1/claim", json={"code": server.code, "password": "correct horse battery"}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def test_T27_admin_makes_lists_resets_and_disables_accounts(
    server: ServerProcess, base: str
) -> None:
    auth = {"Authorization": f"Bearer {claim(base, server)}"}

    def post(path: str, **body: object) -> httpx.Response:
        return httpx.post(f"{base}{path}", json=body, headers=auth)

    assert post("/v1/register", user="alice", password="first password").status_code == 201
    listed = httpx.get(f"{base}/v1/users", headers=auth).json()
    assert [(u["user"], u["admin"]) for u in listed["users"]] == [("admin", True), ("alice", False)]
    assert "password" not in listed["users"][0]
    first = httpx.get(f"{base}/v1/users?limit=1", headers=auth).json()
    assert first["more"] and [u["user"] for u in first["users"]] == ["admin"]
    login = {"user": "alice", "password": "first password"}
    token = httpx.post(f"{base}/v1/token", json=login).json()["token"]
    hers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{base}/v1/users", headers=hers).status_code == 403
    assert httpx.get(f"{base}/v1/users").status_code == 401
    assert httpx.get(f"{base}/v1/users?limit=x", headers=auth).status_code == 422
    assert post("/v1/users/reset", user="alice", password="second password").status_code == 200
    assert httpx.get(f"{base}/v1/sync?after=0", headers=hers).status_code == 401
    assert post("/v1/users/disable", user="alice").status_code == 200
    again = httpx.post(f"{base}/v1/token", json={**login, "password": "second password"})
    assert (again.status_code, again.json()["code"]) == (403, 207)
    assert post("/v1/users/disable", user="alice", disabled=False).status_code == 200
    assert post("/v1/users/disable", user="admin").status_code == 403


def test_T28_keys_are_shown_once_and_end(server: ServerProcess, base: str) -> None:
    auth = {"Authorization": f"Bearer {claim(base, server)}"}
    made = httpx.post(f"{base}/v1/keys", json={"scopes": ["users"]}, headers=auth)
    assert made.status_code == 201
    key = {"Authorization": f"Bearer {made.json()['key']}"}
    assert httpx.get(f"{base}/v1/users", headers=key).status_code == 200
    assert httpx.post(f"{base}/v1/keys", json={"scopes": ["users"]}, headers=key).status_code == 403
    listed = httpx.get(f"{base}/v1/keys", headers=auth).json()["keys"]
    assert [k["id"] for k in listed] == [made.json()["id"]]
    assert "key" not in listed[0]
    drop = httpx.post(f"{base}/v1/keys/drop", json={"id": listed[0]["id"]}, headers=auth)
    assert drop.json() == {"dropped": True}
    assert httpx.get(f"{base}/v1/users", headers=key).status_code == 401
