"""Uploads by tus 1.0 over a real socket (rules FU1 to FU8)."""

# size: the cases of one protocol share their fixtures

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from files_rig import OCTETS, TUS, Rig

from hongyan.engine.files import uploads as engine_files

DATA = os.urandom(700_001)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path) as made:
        yield made


def checksum(data: bytes, name: str = "sha256") -> str:
    return f"{name} {base64.b64encode(hashlib.new(name, data).digest()).decode()}"


async def eventually(wanted: Any) -> None:
    async with asyncio.timeout(20):
        while not await wanted():  # noqa: ASYNC110 - what is waited for is on the other side
            await asyncio.sleep(0.02)


async def test_FU1_bytes_come_in_pieces_and_are_one_blob(rig: Rig) -> None:
    made = await rig.begin(len(DATA), "notes.bin")
    url = made.headers["location"]
    assert made.status_code == 201
    assert made.headers["upload-expires"].endswith("GMT")

    at = 0
    for end in (1, 300_000, len(DATA)):
        got = await rig.patch(url, at, DATA[at:end])
        assert (got.status_code, got.content) == (204, b"")
        assert got.headers["upload-offset"] == str(end)
        assert got.headers["tus-resumable"] == "1.0.0"
        assert await rig.offset(url) == end
        at = end

    digest = hashlib.sha256(DATA).hexdigest()
    assert got.headers["hongyan-digest"] == digest
    view = (await rig.http.get(url, headers=await rig.auth("ann"))).json()
    assert view["blob"] == {
        "digest": digest,
        "size": len(DATA),
        "media_type": "application/octet-stream",
        "name": "notes.bin",
    }
    assert (rig.data / "blobs" / digest[:2] / digest[2:4] / digest).read_bytes() == DATA
    assert rig.files() == [digest]  # nothing is left of the upload


async def test_FU1_the_first_bytes_may_come_with_the_creation(rig: Rig) -> None:
    headers = {**OCTETS, **await rig.auth("ann"), "Upload-Length": "10"}
    made = await rig.http.post("/v1/files", headers=headers, content=b"01234")
    assert (made.status_code, made.headers["upload-offset"]) == (201, "5")
    got = await rig.patch(made.headers["location"], 5, b"56789")
    assert got.headers["hongyan-digest"] == hashlib.sha256(b"0123456789").hexdigest()

    whole = await rig.http.post("/v1/files", headers=headers, content=b"0123456789")
    assert (whole.status_code, whole.headers["upload-offset"]) == (201, "10")
    assert whole.headers["hongyan-digest"] == hashlib.sha256(b"0123456789").hexdigest()


async def test_FU1_a_file_of_no_bytes_is_ready_at_once(rig: Rig) -> None:
    made = await rig.begin(0, "empty.txt")
    assert made.headers["hongyan-digest"] == hashlib.sha256(b"").hexdigest()


async def test_FU1_bytes_that_came_before_the_link_broke_are_kept(rig: Rig) -> None:
    url = (await rig.begin(len(DATA))).headers["location"]
    _, writer = await asyncio.open_connection("127.0.0.1", rig.front.port)
    auth = (await rig.auth("ann"))["Authorization"]
    head = (
        f"PATCH {url} HTTP/1.1\r\nHost: x\r\nAuthorization: {auth}\r\nTus-Resumable: 1.0.0\r\n"
        "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n"
        f"Content-Length: {len(DATA)}\r\n\r\n"
    )
    writer.write(head.encode() + DATA[:100_000])
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    async def kept() -> bool:
        return await rig.offset(url) == 100_000

    await eventually(kept)
    got = await rig.patch(url, 100_000, DATA[100_000:])
    assert got.headers["hongyan-digest"] == hashlib.sha256(DATA).hexdigest()


async def test_FU2_the_offset_is_told_after_the_fsync(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps in their order: write, sync, then the record, then the answer."""
    steps: list[str] = []
    for owner, name in ((rig.uploads, "write"), (rig.uploads, "sync"), (rig.records, "advance")):
        real = getattr(owner, name)

        async def step(*args: Any, name: str = name, real: Any = real) -> Any:
            done = await real(*args)
            steps.append(name)
            return done

        monkeypatch.setattr(owner, name, step)
    url = (await rig.begin(10)).headers["location"]

    await rig.patch(url, 0, b"01234")

    assert steps == ["write", "sync", "advance"]


async def test_FU2_a_long_request_is_made_durable_in_steps(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_files, "STEP", 300_000)
    url = (await rig.begin(len(DATA))).headers["location"]
    seen: list[int] = []
    real = rig.records.advance

    async def advance(upload: str, offset: int, expires_at: int) -> None:
        seen.append(offset)
        await real(upload, offset, expires_at)

    monkeypatch.setattr(rig.records, "advance", advance)
    await rig.patch(url, 0, DATA)
    assert len(seen) > 1 and seen == sorted(set(seen)) and seen[-1] == len(DATA)


async def test_FU2_bytes_that_the_disk_lost_are_not_filled_with_zeros(rig: Rig) -> None:
    url = (await rig.begin(10)).headers["location"]
    await rig.patch(url, 0, b"01234")
    rig.uploads.path(url.rpartition("/")[2]).write_bytes(b"012")
    assert (await rig.patch(url, 5, b"56789")).status_code == 410
    assert rig.files() == []


@pytest.mark.parametrize("name", ["sha1", "sha256"])
async def test_FU3_a_checksum_is_kept(rig: Rig, name: str) -> None:
    url = (await rig.begin(10)).headers["location"]

    bad = await rig.patch(url, 0, b"01234", Upload_Checksum=checksum(b"other", name))
    assert bad.status_code == 460
    assert bad.headers["tus-resumable"] == "1.0.0"
    assert await rig.offset(url) == 0

    good = await rig.patch(url, 0, b"01234", Upload_Checksum=checksum(b"01234", name))
    assert (good.status_code, good.headers["upload-offset"]) == (204, "5")
    for wrong in ("md4 AAAA", "sha256 !!!!", "sha256"):
        refused = await rig.patch(url, 5, b"56789", Upload_Checksum=wrong)
        assert refused.status_code in (422, 460)
    last = await rig.patch(url, 5, b"56789", Upload_Checksum=checksum(b"56789", name))
    assert last.headers["hongyan-digest"] == hashlib.sha256(b"0123456789").hexdigest()


class Slow:
    """A body whose end a test holds back."""

    def __init__(self, first: bytes, rest: bytes) -> None:
        self.sent, self.go = asyncio.Event(), asyncio.Event()
        self._first, self._rest = first, rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        self.sent.set()
        await self.go.wait()
        yield self._rest


async def test_FU4_two_requests_at_once_one_is_locked_out(rig: Rig) -> None:
    url = (await rig.begin(10)).headers["location"]
    body = Slow(b"01234", b"56789")
    first = asyncio.create_task(rig.patch(url, 0, body, Content_Length="10"))
    await body.sent.wait()

    async def locked() -> bool:
        return (await rig.patch(url, 0, b"x")).status_code == 423

    await eventually(locked)
    auth = await rig.auth("ann")
    assert (await rig.http.delete(url, headers={**TUS, **auth})).status_code == 423
    body.go.set()
    assert (await first).headers["hongyan-digest"] == hashlib.sha256(b"0123456789").hexdigest()


async def test_FU4_a_silent_request_gives_way_and_keeps_its_bytes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_files, "HURRY_S", 0.0)
    url = (await rig.begin(10)).headers["location"]
    body = Slow(b"01234", b"56789")
    first = asyncio.create_task(rig.patch(url, 0, body, Content_Length="10"))
    await body.sent.wait()

    async def saved() -> bool:
        return await rig.offset(url) == 5

    await eventually(saved)
    body.go.set()  # httpx looks at an answer only after its body
    assert (await first).status_code == 503
    assert (await rig.patch(url, 5, b"56789")).headers["hongyan-state"] == "ready"


async def test_FU4_a_request_that_stalls_ends(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_files, "STALL_S", 0.2)
    url = (await rig.begin(10)).headers["location"]
    body = Slow(b"01234", b"56789")
    first = asyncio.create_task(rig.patch(url, 0, body, Content_Length="10"))

    async def saved() -> bool:
        return await rig.offset(url) == 5

    await eventually(saved)
    body.go.set()
    assert (await first).status_code == 503
    assert await rig.offset(url) == 5


async def test_FU5_an_upload_that_is_silent_expires(rig: Rig) -> None:
    url = (await rig.begin(10)).headers["location"]
    await rig.patch(url, 0, b"01234")
    rig.clock.advance(86_000)
    await rig.patch(url, 5, b"5")  # heard of: it lives on
    rig.clock.advance(86_000)
    assert await rig.offset(url) == 6
    rig.clock.advance(1_000)

    auth = await rig.auth("ann")
    assert (await rig.http.head(url, headers={**TUS, **auth})).status_code == 410
    assert (await rig.patch(url, 6, b"6789")).status_code == 410
    assert len(rig.files()) == 1
    assert await rig.service.files.expire() == 1
    assert rig.files() == []
    assert (await rig.patch(url, 6, b"6789")).status_code == 410
    rig.clock.advance(2 * 86_400)
    await rig.service.files.expire()
    assert (await rig.patch(url, 6, b"6789")).status_code == 404  # forgotten


async def test_FU5_an_upload_is_given_up(rig: Rig) -> None:
    url = (await rig.begin(10)).headers["location"]
    await rig.patch(url, 0, b"01234")
    auth = await rig.auth("ann")

    gone = await rig.http.delete(url, headers={**TUS, **auth})

    assert (gone.status_code, gone.headers["tus-resumable"]) == (204, "1.0.0")
    assert rig.files() == []
    assert (await rig.http.head(url, headers={**TUS, **auth})).status_code == 410


async def test_FU6_the_size_is_bounded(rig: Rig) -> None:
    most = rig.config.files.most_bytes
    assert (await rig.begin(most + 1)).status_code == 413
    url = (await rig.begin(10)).headers["location"]
    assert (await rig.patch(url, 0, b"0123456789X")).status_code == 413
    assert await rig.offset(url) == 0
    auth = await rig.auth("ann")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"01234"

    headers = {**OCTETS, **auth, "Upload-Offset": "0"}
    got = await rig.http.patch(url, content=endless(), headers=headers)
    assert got.status_code == 413
    assert await rig.offset(url) == 10  # what fits is kept
    options = await rig.http.options("/v1/files")
    assert options.headers["tus-max-size"] == str(most)


async def test_FU6_a_user_has_so_many_uploads_and_bytes(tmp_path: Path) -> None:
    settings = {
        "files__open_per_user": 2,
        "files__user_day_bytes": 100,
        "files__user_day_uploads": 6,
    }
    async with Rig(tmp_path, **settings) as rig:
        first = await rig.begin(40)
        assert (await rig.begin(40)).status_code == 201
        full = await rig.begin(1)
        assert (full.status_code, full.json()["code"]) == (422, 113)
        assert (await rig.begin(1, user="bob")).status_code == 201
        auth = await rig.auth("ann")
        await rig.patch(first.headers["location"], 0, b"x" * 10)
        await rig.http.delete(first.headers["location"], headers={**TUS, **auth})

        assert (await rig.begin(51)).status_code == 429  # 40 + 10 were used
        assert (await rig.begin(0)).status_code == 201
        assert (await rig.begin(50)).status_code == 201
        rig.clock.advance(86_401)
        await rig.service.files.expire()
        for _ in range(6):
            assert (await rig.begin(0)).status_code == 201
        assert (await rig.begin(0)).status_code == 429


async def test_FU6_a_tenant_has_so_many_bytes(tmp_path: Path) -> None:
    async with Rig(tmp_path, files__tenant_day_bytes=100) as rig:
        assert (await rig.begin(60)).status_code == 201
        assert (await rig.begin(60, user="bob")).status_code == 429
        assert (await rig.begin(60, user="bob", tenant="other")).status_code == 201


async def test_AD17_a_tenant_has_a_quota_of_bytes_a_day(tmp_path: Path) -> None:
    options: dict[str, object] = {"tenants__acme__day_bytes": 100, "quota__day_bytes": 200}
    async with Rig(tmp_path, files__tenant_day_bytes=50, **options) as rig:
        assert (await rig.begin(100, user="bob", tenant="acme")).status_code == 201
        assert (await rig.begin(1, user="eve", tenant="acme")).status_code == 429
        assert (await rig.begin(200)).status_code == 201
        assert (await rig.begin(1)).status_code == 429
        rig.clock.advance(86_401)
        assert (await rig.begin(100, user="eve", tenant="acme")).status_code == 201


async def test_FU6_no_upload_is_taken_below_the_floor_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Rig(tmp_path, files__free_bytes=1_000_000) as rig:
        url = (await rig.begin(700_001)).headers["location"]
        monkeypatch.setattr(rig.uploads, "free", lambda: 1_000_100)
        assert (await rig.begin(100)).status_code == 201
        assert (await rig.begin(101)).status_code == 503
        monkeypatch.setattr(rig.uploads, "free", lambda: 999_999)
        monkeypatch.setattr(engine_files, "STEP", 300_000)
        got = await rig.patch(url, 0, DATA)
        assert (got.status_code, got.json()["title"]) == (503, "Overloaded")
        assert 0 < await rig.offset(url) < len(DATA)  # what came is kept


async def test_FU7_what_tus_asks_of_a_request(rig: Rig) -> None:
    auth = await rig.auth("ann")
    url = (await rig.begin(10)).headers["location"]
    old = await rig.http.head(url, headers=auth)
    assert (old.status_code, old.headers["tus-version"]) == (412, "1.0.0")
    assert (await rig.http.post("/v1/files", headers={**TUS, **auth})).status_code == 422
    deferred = {**TUS, **auth, "Upload-Defer-Length": "1"}
    assert (await rig.http.post("/v1/files", headers=deferred)).status_code == 422
    for length in ("-1", "1e3", "x", "٣", "9" * 30):
        headers = {**TUS, **auth, "Upload-Length": length.encode()}
        assert (await rig.http.post("/v1/files", headers=headers)).status_code == 422
    for metadata in ("filename ???", "a b c", "x" * 5000):
        headers = {**TUS, **auth, "Upload-Length": "1", "Upload-Metadata": metadata}
        assert (await rig.http.post("/v1/files", headers=headers)).status_code == 422
    plain = {**TUS, **auth, "Upload-Offset": "0", "Content-Type": "text/plain"}
    assert (await rig.http.patch(url, headers=plain, content=b"x")).status_code == 415
    bare = {**OCTETS, **auth}
    assert (await rig.http.patch(url, headers=bare, content=b"x")).status_code == 422
    wrong = await rig.patch(url, 3, b"x")
    assert (wrong.status_code, wrong.headers["tus-resumable"]) == (409, "1.0.0")
    assert wrong.headers["content-type"] == "application/problem+json"
    options = await rig.http.options("/v1/files")
    assert options.status_code == 204
    assert set(options.headers["tus-extension"].split(",")) == {
        "creation", "creation-with-upload", "expiration", "checksum", "termination",
    }  # fmt: skip
    assert options.headers["tus-version"] == "1.0.0"
    assert options.headers["tus-checksum-algorithm"] == "sha1,sha256"
    assert await rig.offset(url) == 0


async def test_FU7_clients_that_can_only_post_name_the_method(rig: Rig) -> None:
    auth = await rig.auth("ann")
    url = (await rig.begin(4)).headers["location"]
    headers = {**OCTETS, **auth, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert (await rig.http.post(url, headers=headers, content=b"01")).status_code == 204
    for name, status in (("HEAD", 200), ("GET", 405), ("", 405), ("DELETE", 204)):
        headers = {**TUS, **auth, "X-HTTP-Method-Override": name}
        assert (await rig.http.post(url, headers=headers)).status_code == status


async def test_FU8_an_upload_belongs_to_one_user(rig: Rig) -> None:
    url = (await rig.begin(10)).headers["location"]
    for user, tenant in (("bob", "main"), ("ann", "other")):
        auth = await rig.auth(user, tenant)
        assert (await rig.http.head(url, headers={**TUS, **auth})).status_code == 404
        assert (await rig.http.get(url, headers=auth)).status_code == 404
        assert (await rig.patch(url, 0, b"x", user, tenant)).status_code == 404
        assert (await rig.http.delete(url, headers={**TUS, **auth})).status_code == 404
    assert (await rig.http.head(url, headers=TUS)).status_code == 401
    assert await rig.offset(url) == 0
    for strange in ("x", "..%2f..%2fhongyan.db", "%00", "a" * 5000):
        got = await rig.http.get(f"/v1/files/{strange}", headers=await rig.auth("ann"))
        assert got.status_code == 404


async def test_FU8_an_api_key_needs_a_user(rig: Rig) -> None:
    await rig.auth("ann")
    _, key = await rig.node.authenticator.create_key("main", ("send_as", "read"))  # type: ignore[arg-type]
    headers = {**TUS, "Authorization": f"Bearer {key}", "Upload-Length": "1"}
    assert (await rig.http.post("/v1/files", headers=headers)).status_code == 401
    made = await rig.http.post("/v1/files", headers={**headers, "Hongyan-User": "ann"})
    assert made.status_code == 201


async def test_FU8_who_is_logged_out_sends_nothing(rig: Rig) -> None:
    url = (await rig.begin(10)).headers["location"]
    headers = {**OCTETS, "Upload-Offset": "0", "Authorization": "Bearer nonsense"}
    got: httpx.Response = await rig.http.patch(url, content=b"01234", headers=headers)
    assert got.status_code == 401
