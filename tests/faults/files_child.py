"""Files under kill -9: `files_child.py FOLDER` dies at every step of a life with files, once each,
and looks each time at what is left. One JSON line per step: what it was, and what is wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

import msgspec
from files_rig import MAIN, TUS, Rig, picture

DAY = 86_401
TEXT = os.urandom(40_000)
PICTURE = picture((900, 900), "JPEG")
# Each is dangerous before and after it: the process dies when it is called the n-th time.
POINTS = (
    *("records.begin", "records.advance", "records.settle", "records.hold", "records.refer"),
    *("records.let_go", "records.dropped"),
    *("uploads.write", "uploads.sync", "uploads.drop", "blobs.adopt", "blobs.drop"),
)


def arm(rig: Rig, die: Callable[[str, str], None]) -> None:
    """Call `die(point, "before" or "after")` around every step."""
    for point in POINTS:
        owner = getattr(rig, point.partition(".")[0])
        name = point.partition(".")[2]

        def wrapped(real: Any, point: str) -> Any:
            async def step(*args: Any, **named: Any) -> Any:
                die(point, "before")
                done = await real(*args, **named)
                die(point, "after")
                return done

            return step

        setattr(owner, name, wrapped(getattr(owner, name), point))


async def life(data: Path, die: Callable[[str, str], None], told: Path) -> None:
    """Upload, say, recall, collect; note in `told` what the server has acknowledged."""

    def note(**facts: Any) -> None:
        with told.open("a") as file:
            file.write(json.dumps(facts) + "\n")

    async with Rig(data) as rig:
        arm(rig, die)
        log = await rig.talk("ann", "bob")
        note(log=log)
        views = {}
        for name, whole in (("text", TEXT), ("picture", PICTURE)):
            made = await rig.begin(len(whole), name)
            url = made.headers["location"]
            note(upload=name, url=url, offset=0)
            for at in range(0, len(whole), 30_000):
                got = await rig.patch(url, at, whole[at : at + 30_000])
                note(upload=name, url=url, offset=int(got.headers["upload-offset"]))
            got = await rig.http.get(f"{url}?wait=25", headers=await rig.auth("ann"))
            views[name] = got.json()
            note(ready=name, view=views[name])
            note(said=name, seq=await rig.send("ann", log, views[name]))
        await rig.call("ann", "chat.recall", {"seq": 2}, log)  # the group's first entry is 1
        note(recalled="text")
        rig.clock.advance(DAY)
        await rig.collect()
        note(collected=True)


class Facts:
    """What a life was told before it ended."""

    def __init__(self, told: Path) -> None:
        self.offsets: dict[str, tuple[str, int]] = {}
        self.views: dict[str, Any] = {}
        self.said: dict[str, int] = {}
        self.log, self.recalled = "", False
        for line in told.read_text().splitlines() if told.exists() else []:
            fact = json.loads(line)
            self.log = fact.get("log", self.log)
            if "upload" in fact:
                self.offsets[fact["upload"]] = (fact["url"], fact["offset"])
            if "ready" in fact:
                self.views[fact["ready"]] = fact["view"]
            if "said" in fact:
                self.said[fact["said"]] = fact["seq"]
            self.recalled = self.recalled or "recalled" in fact


async def look(data: Path, told: Path) -> list[str]:
    """What is wrong after a death: nothing, if all promises hold."""
    facts, wrong = Facts(told), []
    async with Rig(data) as rig:
        for name, (url, offset) in facts.offsets.items():
            whole = TEXT if name == "text" else PICTURE
            head = await rig.http.head(url, headers={**TUS, **await rig.auth("ann")})
            at = int(head.headers.get("upload-offset", -1))
            if at < offset:
                wrong.append(f"{name}: {offset} bytes were acknowledged, {at} are there")
                continue
            if at < len(whole):
                await rig.patch(url, at, whole[at:])
            got = await rig.http.get(f"{url}?wait=25", headers=await rig.auth("ann"))
            view = got.json()
            known = facts.views.get(name, view)
            if view.get("state") != "ready" or view["blob"] != known["blob"]:
                wrong.append(f"{name}: {view}, was {known}")
                continue
            if name == "text" and view["blob"]["digest"] != hashlib.sha256(TEXT).hexdigest():
                wrong.append("text: other bytes")
        if "picture" in facts.said:
            blob = facts.views["picture"]["blob"]
            where = {"log": facts.log, "seq": facts.said["picture"], "digest": blob["digest"]}
            [link] = await rig.links("bob", where)
            data_now = await rig.fetch(link) if "url" in link else b""
            if hashlib.sha256(data_now).hexdigest() != blob["digest"]:
                wrong.append(f"picture: said, and gone ({link})")
        wrong += await orphans(rig, facts)
    return wrong


async def orphans(rig: Rig, facts: Facts) -> list[str]:
    """After a grace nothing may be left but what is referred to."""
    await rig.service.consumer.caught_up()
    rig.clock.advance(3 * DAY)
    await rig.service.files.expire()
    await rig.collect()
    wrong = []
    for item in await rig.store.feed(after=0, limit=100):
        body = bytes(item.entry.body)
        for view in facts.views.values():
            digest = view["blob"]["digest"]
            if digest.encode() in body and digest not in rig.files():
                wrong.append(f"{digest} is named by {item.entry.seq} and not there")
    kept = set(rig.files())
    named = {d for d in kept if await rig.records.refs(MAIN, d)}
    if kept != named:
        wrong.append(f"left for ever: {sorted(kept - named)}")
    notes = {p.stem for p in (rig.data / "blobs").rglob("*.json")}
    if notes != kept:
        wrong.append(f"notes without bytes: {sorted(notes - kept)}")
    return wrong


def fork(work: Callable[[], Any]) -> tuple[int, Any]:
    """Do it in a child; how that ended, and its answer."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        status = 0
        try:
            os.write(write, msgspec.json.encode(work()))
        except BaseException as exc:
            os.write(write, msgspec.json.encode([repr(exc)]))
            status = 1
        os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        answer = file.read()
    return os.waitpid(pid, 0)[1], msgspec.json.decode(answer) if answer else None


def steps_of(folder: Path) -> list[str]:
    """Every step of a life that nobody cuts short."""

    def work() -> list[str]:
        seen: list[str] = []
        whole = life(folder / "whole", lambda p, when: seen.append(f"{p} {when}"), folder / "told")
        asyncio.run(whole)
        return seen

    status, seen = fork(work)
    assert status == 0, seen
    return list(seen)


def main(folder: Path, share: int, shares: int) -> None:
    """All steps, each the first and the last time it comes."""
    folder.mkdir(exist_ok=True)
    steps = steps_of(folder)
    wanted = sorted({(step, n) for step in set(steps) for n in (1, steps.count(step))})
    for number, (step, count) in enumerate(wanted):
        if number % shares != share:
            continue
        data, told = folder / f"data{number}", folder / f"told{number}"
        left = [count]

        def die(point: str, when: str, step: str = step, left: list[int] = left) -> None:
            if f"{point} {when}" == step:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        status, answer = fork(
            lambda data=data, told=told, die=die: asyncio.run(life(data, die, told))
        )  # type: ignore[misc]
        died = os.WIFSIGNALED(status)
        _, wrong = fork(lambda data=data, told=told: asyncio.run(look(data, told)))  # type: ignore[misc]
        print(json.dumps({"step": step, "n": count, "died": died, "wrong": wrong, "said": answer}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
