"""What is kept and what goes (rules FU20 to FU22)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from files_rig import MAIN, Rig, picture

from hongyan.adapters.localdisk_check import check_files
from hongyan.cli.care import doctor
from hongyan.model.files import File
from hongyan.model.ids import TenantId, UserId
from hongyan.ports import User

DAY = 86_401


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Rig(tmp_path) as made:
        yield made


async def test_FU20_what_nothing_refers_to_goes_after_a_while(rig: Rig) -> None:
    await rig.upload(b"never said")
    assert await rig.collect() == 0
    rig.clock.advance(DAY - 2)
    assert await rig.collect() == 0
    rig.clock.advance(2)
    assert await rig.collect() == 1
    assert rig.files() == []
    assert list((rig.data / "blobs").rglob("*.json")) == []


async def test_FU20_what_is_said_stays_with_its_preview(rig: Rig) -> None:
    log = await rig.talk("ann", "bob")
    view = await rig.upload(picture((900, 900), "JPEG"), "a.jpg")
    seq = await rig.send("ann", log, view)
    rig.clock.advance(100 * DAY)
    assert await rig.collect() == 0
    assert len(rig.files()) == 2
    link = {"log": log, "seq": seq, "digest": view["blob"]["digest"]}
    rig._tokens.clear()  # those of long ago have expired
    assert "url" in (await rig.links("bob", link))[0]


async def test_FU20_a_recall_lets_the_file_go(rig: Rig) -> None:
    log, other = await rig.talk("ann", "bob"), await rig.talk("ann", "bob")
    view = await rig.upload(picture((900, 900), "JPEG"), "a.jpg")
    seq = await rig.send("ann", log, view)
    said_again = await rig.call(
        "ann", "chat.forward", {"sources": [{"log": log, "seq": seq}]}, other
    )
    await rig.call("ann", "chat.recall", {"seq": seq}, log)
    await rig.collect()
    digest = view["blob"]["digest"]
    assert await rig.records.refs(MAIN, digest) == [(other, said_again["seq"])]
    await rig.call("ann", "chat.recall", {"seq": said_again["seq"]}, other)
    rig.clock.advance(DAY)
    assert await rig.collect() == 2
    assert rig.files() == []


async def test_FU20_edits_hold_what_they_brought(rig: Rig) -> None:
    log = await rig.talk("ann", "bob")
    old, new = await rig.upload(b"old"), await rig.upload(b"new")
    seq = await rig.send("ann", log, old)
    edited = {"type": "file", "blob": new["blob"]}
    await rig.call("ann", "chat.edit", {"seq": seq, "content": edited}, log)
    await rig.call("bob", "chat.react", {"seq": seq, "emoji": "👍"}, log)
    rig.clock.advance(DAY)
    assert await rig.collect() == 0
    await rig.call("ann", "chat.pin", {"seq": seq}, log)
    assert await rig.collect() == 0
    rig._tokens.clear()
    await rig.call("ann", "chat.recall", {"seq": seq}, log)
    assert await rig.collect() == 2


async def test_FU20_pictures_of_users_and_groups_stay_while_they_are(rig: Rig) -> None:
    log = await rig.talk("ann", "bob")
    first, second, face = [await rig.upload(picture((n, 40))) for n in (40, 50, 60)]
    made = await rig.call(
        "ann", "chat.create", {"title": "born with it", "avatar": first["blob"]["digest"]}
    )
    await rig.call("ann", "chat.update", {"avatar": second["blob"]["digest"]}, log)
    avatar = face["blob"]["digest"]
    await rig.directory.put_user(User(tenant=MAIN, user=UserId("bob"), avatar=avatar))
    rig.clock.advance(DAY)
    assert await rig.collect() == 0

    rig._tokens.clear()
    await rig.call("ann", "chat.update", {"avatar": ""}, made["log"])
    await rig.call("ann", "chat.update", {"avatar": ""}, log)
    await rig.directory.put_user(User(tenant=MAIN, user=UserId("bob"), avatar=""))
    await rig.service.consumer.caught_up()
    kept = await rig.records.refs(MAIN, second["blob"]["digest"])
    assert [seq > 0 for _, seq in kept] == [True]  # the history tells of it
    assert await rig.collect() == 2  # the first one, and the face


async def test_FU20_a_tenant_holds_what_another_lets_go(rig: Rig) -> None:
    log = await rig.talk("ann", "bob")
    view = await rig.upload(b"in both")
    await rig.upload(b"in both", user="eve", tenant="other")
    await rig.send("ann", log, view)
    rig.clock.advance(DAY)
    assert await rig.collect() == 0
    assert len(rig.files()) == 1
    assert await rig.records.file(TenantId("other"), view["blob"]["digest"]) is None
    assert await rig.records.file(MAIN, view["blob"]["digest"]) is not None


async def test_FU21_an_entry_the_consumer_has_not_seen_keeps_its_file(rig: Rig) -> None:
    """Said at the last moment, while the consumer is behind."""
    log = await rig.talk("ann", "bob")
    view = await rig.upload(b"late")
    await rig.service.consumer.caught_up()
    await rig.service.consumer.stop()
    rig.clock.advance(DAY)
    await rig.send("ann", log, view)
    assert await rig.records.refs(MAIN, view["blob"]["digest"]) == []
    assert await rig.service.collector.collect() == 0
    assert len(rig.files()) == 1


async def test_FU21_uploaded_again_it_stays(rig: Rig) -> None:
    view = await rig.upload(b"twice")
    rig.clock.advance(DAY)
    again = await rig.upload(b"twice")
    assert again["blob"] == view["blob"]
    assert await rig.collect() == 0
    rig.clock.advance(DAY)
    assert await rig.collect() == 1


async def test_FU21_an_upload_of_the_same_bytes_races_with_the_collection(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is first: the file that the uploader is told of is there."""
    for order in ("collect", "upload"):
        await rig.upload(b"contested")
        rig.clock.advance(DAY)
        jobs: list[Any] = [rig.collect(), rig.upload(b"contested")]
        jobs = jobs if order == "collect" else jobs[::-1]
        results = await asyncio.gather(*jobs)
        view = next(result for result in results if isinstance(result, dict))
        [link] = await rig.links("ann", {"upload": view["id"]})
        assert await rig.fetch(link) == b"contested"
        rig._tokens.clear()


async def test_FU21_bytes_that_are_being_kept_are_not_removed_meanwhile(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload of old bytes stands between its holder and its name while a round goes over them:
    the round waits."""
    await rig.upload(b"contested")
    rig.clock.advance(DAY)
    steps: list[str] = []
    begun, go_on, looked = asyncio.Event(), asyncio.Event(), asyncio.Event()
    adopt, let_go, loose = rig.blobs.adopt, rig.records.let_go, rig.records.loose

    async def slow_adopt(*args: Any) -> Any:
        begun.set()
        await go_on.wait()
        steps.append("kept")
        return await adopt(*args)

    async def seen_let_go(*args: Any, **named: Any) -> Any:
        steps.append("judged")
        return await let_go(*args, **named)

    async def seen_loose(**named: Any) -> Any:
        found = await loose(**named)
        looked.set()
        return found

    monkeypatch.setattr(rig.blobs, "adopt", slow_adopt)
    job = asyncio.create_task(rig.upload(b"contested"))
    await begun.wait()
    rig.clock.advance(DAY)  # the upload is old again, while its bytes get their name
    await rig.service.consumer.caught_up()
    monkeypatch.setattr(rig.records, "let_go", seen_let_go)
    monkeypatch.setattr(rig.records, "loose", seen_loose)
    round_of_it = asyncio.create_task(rig.service.collector.collect())
    await looked.wait()
    await asyncio.wait({round_of_it}, timeout=0.3)  # time to do wrong
    go_on.set()
    await round_of_it
    assert (await job)["state"] == "ready"
    assert steps == ["kept", "judged"]
    assert rig.files() == []  # judged whole: neither bytes nor a holder are left


async def test_FU21_what_was_let_go_before_a_crash_is_removed_after_it(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        view = await rig.upload(b"let go")
        rig.clock.advance(DAY)
        await rig.service.consumer.caught_up()
        loose = await rig.records.loose(before=rig.clock.now_ms(), after=(0, "", ""), limit=9)
        assert await rig.records.let_go(loose, consumer="files") == [view["blob"]["digest"]]
        assert len(rig.files()) == 1  # and here the process dies
    async with Rig(tmp_path) as rig:
        async with asyncio.timeout(20):
            while rig.files() or await rig.records.drops(9):  # noqa: ASYNC110 - the collector begins with what is left
                await asyncio.sleep(0.02)


async def test_FU21_let_go_and_held_again_before_it_was_removed(rig: Rig) -> None:
    view = await rig.upload(b"let go")
    digest = view["blob"]["digest"]
    rig.clock.advance(DAY)
    await rig.service.consumer.caught_up()
    loose = await rig.records.loose(before=rig.clock.now_ms(), after=(0, "", ""), limit=9)
    await rig.records.let_go(loose, consumer="files")
    await rig.records.hold([File(MAIN, digest, 6, "text/plain")], rig.clock.now_ms())
    assert await rig.service.collector.collect() == 0
    assert rig.files() == [digest]


async def test_FU22_the_numbers_are_shown(rig: Rig) -> None:
    log = await rig.talk("ann", "bob")
    view = await rig.upload(b"0123456789")
    await rig.send("ann", log, view)
    await rig.send("ann", log, view)
    await rig.upload(b"GIF89a broken")
    url = (await rig.begin(10)).headers["location"]
    await rig.patch(url, 0, b"0123")
    await rig.collect()
    shown = {
        name: float(value)
        for line in (await rig.metrics()).decode().splitlines()
        if line.startswith("hongyan_file")
        for name, value in [line.rsplit(" ", 1)]
    }
    assert shown["hongyan_files"] == 1
    assert shown["hongyan_files_bytes"] == 10
    assert shown["hongyan_files_refs"] == 2
    assert shown["hongyan_files_uploads"] == 1
    assert shown["hongyan_files_uploads_bytes"] == 4
    assert shown["hongyan_files_refused"] == 1


async def test_FU22_doctor_compares_the_database_with_the_disk(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        log = await rig.talk("ann", "bob")
        said, loose = await rig.upload(b"said"), await rig.upload(b"loose")
        await rig.send("ann", log, said)
        await rig.service.consumer.caught_up()
    assert [fault.level for fault in check_files(tmp_path)] == ["ok"]

    def at(digest: str) -> Path:
        return tmp_path / "blobs" / digest[:2] / digest[2:4] / digest

    at(said["blob"]["digest"]).write_bytes(b"sa")
    at(loose["blob"]["digest"]).unlink()
    nobody = at("ab" * 32)
    nobody.parent.mkdir(parents=True)
    nobody.write_bytes(b"x")
    shown = CliRunner().invoke(doctor, [str(tmp_path)])
    assert shown.exit_code == 1
    assert f"{said['blob']['digest']} of 4 bytes has 2 bytes" in shown.output
    assert f"{loose['blob']['digest']} of 5 bytes is missing" in shown.output
    assert f"{'ab' * 32} belongs to nobody" in shown.output
