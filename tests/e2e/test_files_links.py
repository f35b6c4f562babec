"""Who may download what, and what a link gives (rules FU15 to FU19)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
import pytest
from files_rig import MAIN, Rig, picture

from hongyan.engine.files.types import INLINE
from hongyan.model.ids import DeviceId, UserId
from hongyan.ports import Evicted, User
from hongyan.transport.serve_files import disposition

FILM = b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(range(256)) * 1000


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path) as made:
        yield made


def where(log: str, seq: int, view: dict[str, Any]) -> dict[str, Any]:
    return {"log": log, "seq": seq, "digest": view["blob"]["digest"]}


async def test_FU15_the_same_bytes_are_kept_once(rig: Rig) -> None:
    first = await rig.upload(b"the same", "one.txt")
    again = await rig.upload(b"the same", "two.txt", user="bob")
    other = await rig.upload(b"the same", user="eve", tenant="other")
    assert first["blob"]["digest"] == again["blob"]["digest"] == other["blob"]["digest"]
    assert (first["blob"]["name"], again["blob"]["name"]) == ("one.txt", "two.txt")
    assert rig.files() == [hashlib.sha256(b"the same").hexdigest()]
    noisy = picture((900, 900), "JPEG")
    views = await asyncio.gather(*(rig.upload(noisy, user=f"u{n}") for n in range(4)))
    assert len({view["blob"]["digest"] for view in views}) == 1
    assert len(rig.files()) == 3  # the words, the picture, its preview


async def test_FU16_members_have_links_and_others_do_not(rig: Rig) -> None:
    log = await rig.talk("ann", "bob")
    view = await rig.upload(picture((900, 700), "JPEG"), "cat.jpg")
    seq = await rig.send("ann", log, view)
    whole = where(log, seq, view)
    small = {**whole, "digest": view["preview"]}

    for user in ("ann", "bob"):
        links = await rig.links(user, whole, small)
        assert hashlib.sha256(await rig.fetch(links[0])).hexdigest() == view["blob"]["digest"]
        assert hashlib.sha256(await rig.fetch(links[1])).hexdigest() == view["preview"]
    for user, tenant in (("eve", "main"), ("ann", "other")):
        for link in await rig.links(user, whole, small, tenant=tenant):
            assert set(link) == {"problem"} and link["problem"]["code"] in (108, 202)
    bad = [
        {**whole, "digest": "0" * 64},
        {**whole, "seq": seq + 1},
        {**whole, "seq": 0},
        {**whole, "digest": ""},
        {"log": log},
        {},
        {**whole, "log": "main/g/none"},
        {**whole, "log": "../../x"},
        {"user": "../x"},
    ]
    for link in await rig.links("bob", *bad):
        assert set(link) == {"problem"}, link
    none = await rig.http.post("/v1/files/links", json={"items": [whole]})
    assert none.status_code == 401
    many = await rig.http.post(
        "/v1/files/links", json={"items": [whole] * 101}, headers=await rig.auth("bob")
    )
    assert many.status_code == 422


async def test_FU16_an_entry_opens_its_own_files_only(rig: Rig) -> None:
    """Eve knows a digest of her tenant, and an entry of her own."""
    secret_log, log = await rig.talk("ann", "bob"), await rig.talk("eve")
    secret, own = await rig.upload(b"of ann and bob"), await rig.upload(b"of eve", user="eve")
    await rig.send("ann", secret_log, secret)
    seq = await rig.send("eve", log, own)
    links = await rig.links(
        "eve",
        where(log, seq, own),
        where(log, seq, secret),
        {"upload": own["id"], "digest": secret["blob"]["digest"]},
    )
    assert ["url" in link for link in links] == [True, False, False]


async def test_FU12_a_film_tells_its_length_and_not_its_place(rig: Rig) -> None:
    def box(name: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return (len(body) + 8).to_bytes(4, "big") + name + body

    head = bytes(12) + (1000).to_bytes(4, "big") + (4200).to_bytes(4, "big")
    notes = box(b"udta", box(b"\xa9xyz", b"+50.1+008.6/"))
    data = (
        box(b"ftyp", b"isom\0\0\0\0isommp42")
        + box(b"moov", box(b"mvhd", head), notes)
        + box(b"mdat", bytes(1000))
    )
    view = await rig.upload(data, "film.mp4")
    assert view["duration_ms"] == 4200
    [link] = await rig.links("ann", {"upload": view["id"]})
    kept = await rig.fetch(link)
    assert b"+50.1" not in kept and len(kept) == len(data)


async def test_FU16_who_left_sees_what_was_before_and_who_came_what_is_after(rig: Rig) -> None:
    log = await rig.talk("ann", "bob")
    views = [await rig.upload(f"file {n}".encode()) for n in range(2)]
    before = where(log, await rig.send("ann", log, views[0]), views[0])
    await rig.call("bob", "chat.leave", {}, log)
    await rig.auth("eve")
    await rig.call("ann", "chat.invite", {"users": ["eve"]}, log)
    after = where(log, await rig.send("ann", log, views[1]), views[1])

    assert [("url" in link) for link in await rig.links("bob", before, after)] == [True, False]
    assert [("url" in link) for link in await rig.links("eve", before, after)] == [False, True]


async def test_FU16_edits_bundles_and_deletions_count(rig: Rig) -> None:
    log, other = await rig.talk("ann", "bob"), await rig.talk("ann", "bob", "eve")
    old, new = await rig.upload(b"old file", "old.txt"), await rig.upload(b"new file", "new.txt")
    seq = await rig.send("ann", log, old)
    edited = {"type": "file", "blob": new["blob"]}
    edit = await rig.call("ann", "chat.edit", {"seq": seq, "content": edited}, log)
    ways = [where(log, seq, new), where(log, edit["seq"], new)]
    assert all("url" in link for link in await rig.links("bob", *ways))

    bundle = await rig.call(
        "ann", "chat.forward", {"sources": [{"log": log, "seq": seq}], "merged": True}, other
    )
    inside = where(other, bundle["seq"], new)
    [link] = await rig.links("eve", inside)
    assert await rig.fetch(link) == b"new file"
    assert "new.txt" in link["url"]

    await rig.call("bob", "chat.delete", {"seqs": [seq]}, log)
    assert "problem" in (await rig.links("bob", where(log, seq, new)))[0]
    await rig.call("ann", "chat.recall", {"seq": seq}, log)
    for way in [*ways, where(log, seq, old)]:
        assert "problem" in (await rig.links("ann", way))[0]
    assert "url" in (await rig.links("eve", inside))[0]  # said there, it stays there


async def test_FU16_pictures_of_users_and_groups(rig: Rig) -> None:
    log = await rig.talk("ann", "bob")
    view = await rig.upload(picture())
    digest = view["blob"]["digest"]
    await rig.call("ann", "chat.update", {"avatar": digest}, log)
    await rig.directory.put_user(User(tenant=MAIN, user=UserId("ann"), avatar=digest))
    rig.bus.publish(Evicted(MAIN, UserId("ann"), DeviceId("none"), 0, 0))  # not written by the node
    items = [{"log": log, "avatar": True}, {"user": "ann"}, {"user": "bob"}, {"user": "nobody"}]
    assert ["url" in link for link in await rig.links("bob", *items)] == [True, True, False, False]
    assert ["url" in link for link in await rig.links("eve", *items)] == [False, True, False, False]
    other = await rig.links("eve", *items, tenant="other")
    assert not any("url" in link for link in other)


async def test_FU16_an_own_upload_before_it_is_said(rig: Rig) -> None:
    view = await rig.upload(picture((900, 900), "JPEG"), "me.jpg")
    items = [{"upload": view["id"]}, {"upload": view["id"], "digest": view["preview"]}]
    assert all("url" in link for link in await rig.links("ann", *items))
    assert all("problem" in link for link in await rig.links("bob", *items))
    unready = (await rig.begin(10)).headers["location"].rpartition("/")[2]
    assert "problem" in (await rig.links("ann", {"upload": unready}))[0]


async def test_FU16_a_digest_of_another_tenant_gives_nothing(rig: Rig) -> None:
    """Who learns a digest and says it elsewhere does not get the bytes of other tenants."""
    view = await rig.upload(b"secret of main")
    await rig.auth("eve", "other")
    key = {**await rig.auth("eve", "other"), "Idempotency-Key": "1"}
    args = {"title": "mine"}
    made = await rig.http.post("/v1/calls", json={"name": "chat.create", "args": args}, headers=key)
    log = made.json()["log"]
    said = {"content": {"type": "file", "blob": view["blob"]}}
    got = await rig.http.post(
        f"/v1/logs/{log}/calls",
        json={"name": "chat.send", "args": said},
        headers={**key, "Idempotency-Key": "2"},
    )
    [link] = await rig.links("eve", where(log, got.json()["seq"], view), tenant="other")
    assert link["problem"]["title"] == "Gone"


async def test_FU17_a_link_is_good_for_what_was_signed_only(rig: Rig) -> None:
    view = await rig.upload(b"signed", "a.txt")
    [link] = await rig.links("ann", {"upload": view["id"]})
    other = await rig.upload(b"another")
    parts = urlsplit(link["url"])
    query = dict(parse_qsl(parts.query))
    assert (await rig.http.get(link["url"])).status_code == 200
    changes: list[dict[str, str]] = [
        {"t": "other"}, {"n": "b.txt"}, {"n": ""}, {"d": "i"}, {"d": ""}, {"s": ""},
        {"s": "x" * 32},
        {"e": str(int(query["e"]) + 1)}, {"e": "99999999999999999999"}, {"e": "x"}, {"e": ""},
        {"s": query["s"][:-1]}, {"s": query["s"] + "x"}, {"t": "../x"}, {"n": "\ufffd"},
    ]  # fmt: skip
    for change in changes:
        url = f"{parts.path}?{urlencode({**query, **change})}"
        assert (await rig.http.get(url)).status_code == 403, change
    swapped = f"/files/{other['blob']['digest']}?{parts.query}"
    assert (await rig.http.get(swapped)).status_code == 403
    for strange in ("x", "..%2f..%2fsecret", "%00", view["blob"]["digest"] + ".json"):
        assert (await rig.http.get(f"/files/{strange}?{parts.query}")).status_code in (403, 404)
    assert (await rig.http.get(parts.path)).status_code == 403


async def test_FU17_a_link_ends_and_is_the_same_for_half_its_life(rig: Rig) -> None:
    view = await rig.upload(b"signed", "a.txt")
    half = rig.config.files.link_s // 2
    rig.clock.advance(half - rig.clock.now_ms() / 1000 % half)
    [link] = await rig.links("ann", {"upload": view["id"]})
    rig.clock.advance(half - 1)
    assert (await rig.links("ann", {"upload": view["id"]}))[0] == link
    rig.clock.advance(1)
    [later] = await rig.links("ann", {"upload": view["id"]})
    assert later["expires_at"] == link["expires_at"] + half * 1000
    assert (await rig.http.get(link["url"])).status_code == 200
    left = (link["expires_at"] - rig.clock.now_ms()) / 1000
    assert half - 1 <= left <= half
    rig.clock.advance(left + 0.01)
    assert (await rig.http.get(link["url"])).status_code == 403
    assert (await rig.http.get(later["url"])).status_code == 200


async def test_FU18_nothing_that_is_served_can_act_as_a_page_of_ours(rig: Rig) -> None:
    shown: dict[str, str] = {}
    files = {
        "a.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "a.html": b"<html><script>alert(1)</script>",
        "a.pdf": b"%PDF-1.7 ...",
        "a.js": b"alert(1)",
        "a.png": picture(),
        "a.mp4": FILM,
        "a.gif": b"GIF89a" + b"<script>alert(1)</script>",
    }
    for name, data in files.items():
        view = await rig.upload(data, name, "image/png")
        if view["state"] == "refused":
            shown[name] = "refused"
            continue
        [link, save] = await rig.links(
            "ann", {"upload": view["id"]}, {"upload": view["id"], "download": True}
        )
        got = await rig.http.get(link["url"])
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert got.headers["cross-origin-resource-policy"] == "same-origin"
        assert got.headers["cache-control"].startswith("private, ")
        assert "set-cookie" not in got.headers and "access-control-allow-origin" not in got.headers
        shown[name] = got.headers["content-disposition"].partition(";")[0]
        assert (shown[name] == "inline") == (got.headers["content-type"] in INLINE)
        saved = await rig.http.get(save["url"])
        assert saved.headers["content-disposition"].startswith("attachment")
    assert shown == {
        "a.svg": "attachment",
        "a.html": "attachment",
        "a.pdf": "attachment",
        "a.js": "attachment",
        "a.png": "inline",
        "a.mp4": "inline",
        "a.gif": "refused",
    }


def test_FU18_names_survive_the_header() -> None:
    assert disposition(False, "a b.txt") == 'attachment; filename="a b.txt"'
    assert disposition(True, "") == "inline"
    text = disposition(False, '鸿"\r\nX: y.txt')
    assert text == (
        "attachment; filename=\"____X_ y.txt\"; filename*=UTF-8''%E9%B8%BF%22%0D%0AX%3A%20y.txt"
    )
    assert text.isascii() and "\n" not in text


RANGES = [
    ("bytes=0-9", 206, (0, 10)),
    ("bytes=5-", 206, (5, None)),
    ("bytes=-7", 206, (-7, None)),
    ("bytes=0-999999999", 206, (0, None)),
    ("bytes=-999999999", 206, (0, None)),
    ("bytes=0-0", 206, (0, 1)),
    ("bytes=9-5", 200, (0, None)),
    ("bytes=0-1,5-6", 200, (0, None)),
    ("bytes=-", 200, (0, None)),
    ("lines=0-1", 200, (0, None)),
    ("bytes=x", 200, (0, None)),
    (f"bytes={len(FILM)}-", 416, None),
    ("bytes=-0", 416, None),
]


@pytest.fixture
async def film(rig: Rig) -> str:
    view = await rig.upload(FILM, "film.mp4")
    return str((await rig.links("ann", {"upload": view["id"]}))[0]["url"])


async def test_FU19_a_film_is_read_in_ranges(rig: Rig, film: str) -> None:
    for text, status, part in RANGES:
        got = await rig.http.get(film, headers={"Range": text})
        assert got.status_code == status, text
        if part is None:
            assert got.headers["content-range"] == f"bytes */{len(FILM)}"
            continue
        assert got.content == FILM[part[0] : part[1]]
        assert got.headers["content-length"] == str(len(got.content))
        assert got.headers["accept-ranges"] == "bytes"
        if status == 206:
            start = FILM.index(got.content) if len(got.content) > 300 else (part[0] % len(FILM))
            end = start + len(got.content) - 1
            assert got.headers["content-range"] == f"bytes {start}-{end}/{len(FILM)}"


async def test_FU19_a_range_of_another_version_gives_the_whole(rig: Rig, film: str) -> None:
    head = await rig.http.head(film)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(FILM))
    tag, date = head.headers["etag"], head.headers["last-modified"]
    for condition, status in (
        (tag, 206), (date, 206), ('"other"', 200), (f"W/{tag}", 200), ("nonsense", 200),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 200),
    ):  # fmt: skip
        headers = {"Range": "bytes=0-9", "If-Range": condition}
        assert (await rig.http.get(film, headers=headers)).status_code == status, condition
    for condition, status in ((tag, 304), (f"W/{tag}", 304), ('"x"', 200), ("*", 304)):
        got = await rig.http.get(film, headers={"If-None-Match": condition})
        assert got.status_code == status, condition
    part = await rig.http.head(film, headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.headers["content-length"]) == (206, "10")


async def test_FU19_a_file_that_is_gone_is_not_found(rig: Rig, film: str) -> None:
    digest = hashlib.sha256(FILM).hexdigest()
    await rig.blobs.drop(digest)
    got = await rig.http.get(film)
    assert got.status_code == 404
    assert msgspec.json.decode(got.content)["code"] == 109
