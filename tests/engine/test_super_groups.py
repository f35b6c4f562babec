"""AD: groups of very many: joins, lists in pages, receipts off."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hongyan.adapters.sqlite import SqliteStore
from hongyan.engine.identity import Identity
from hongyan.model.ids import LogId, Seq, UserId
from hongyan.wire import frames as f
from tests.engine.rig import MAIN, Rig
from tests.engine.test_edge_faults import rigged

JOINS = 10_000
AT_ONCE = 500


async def joined(rig: Rig, log: str, user: str) -> f.Ack:
    who = Identity(tenant=MAIN, user=UserId(user), epoch=1)
    call = f.Call(ref=1, name="chat.join", op=f"join-{user}", log=LogId(log))
    return await rig.node.gateway.call(who, call)


async def test_AD19_AD20_ten_thousand_join_one_by_one(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    try:
        async with rigged(store=store) as rig:
            owner, member = await rig.person("owner"), await rig.person("member")
            made = await owner.call("chat.create", {"title": "all", "join_mode": "open"})
            log = made.log
            assert isinstance(await member.call("chat.join", {}, log=log), f.Ack)
            names = [f"u{n:05}" for n in range(JOINS)]
            seqs: set[int] = set()
            for start in range(0, JOINS, AT_ONCE):
                part = names[start : start + AT_ONCE]
                acks = await asyncio.gather(*(joined(rig, log, name) for name in part))
                seqs.update(ack.seq for ack in acks)
            assert len(seqs) == JOINS, "each join is an entry of its own"
            info = await store.info(LogId(log))
            assert info is not None and info.count == JOINS + 2 and info.large

            late = await rig.person(names[-1])
            sent = await owner.send(log, "welcome")
            for person in (owner, member, late):
                assert (await person.got(log, sent.seq)).sender == "owner"
            again = await joined(rig, log, names[0])
            assert again.repeat

            listed, after, pages = [], "", 0
            while True:
                page = await late.query("members", log, after=after, limit=500)
                listed += [entry["user"] for entry in page["members"]]
                pages += 1
                if not page["more"]:
                    break
                after = listed[-1]
            assert pages == 21 and listed == sorted({"owner", "member", *names})
    finally:
        await store.close()


OFF = {"kinds.group.receipt_counts": 0}


async def test_AD21_receipts_are_off_by_setting() -> None:
    async with rigged(options=OFF) as rig:
        alice, bob = await rig.person("alice"), await rig.person("bob")
        made = await alice.call("chat.create", {"title": "quiet", "members": ["bob"]})
        sent = await alice.send(made.log, "read me")
        done = await bob.ask(f.Cursor(log=LogId(made.log), read=Seq(sent.seq), ref=1))
        assert isinstance(done, f.Ack)
        answer = await alice.query("receipts", made.log, seq=sent.seq)
        assert answer == {"mode": "off", "members": 2}
        direct = await alice.call("chat.open", {"user": "bob"})
        hello = await alice.send(direct.log, "and me")
        await bob.ask(f.Cursor(log=LogId(direct.log), read=Seq(hello.seq), ref=1))
        await alice.until(lambda x: isinstance(x, f.Cursor) and x.log == direct.log)
        told = [x for x in alice.link.frames if isinstance(x, f.Cursor) and x.log == made.log]
        assert not told, "nor at once"


async def test_AD21_without_the_setting_there_are_receipts(rig: Rig) -> None:
    alice, bob = await rig.person("alice"), await rig.person("bob")
    made = await alice.call("chat.create", {"title": "loud", "members": ["bob"]})
    sent = await alice.send(made.log, "read me")
    await bob.ask(f.Cursor(log=LogId(made.log), read=Seq(sent.seq), ref=1))
    await alice.until(lambda x: isinstance(x, f.Cursor) and x.log == made.log)
    answer = await alice.query("receipts", made.log, seq=sent.seq)
    assert answer["mode"] == "names" and answer["read_by"] == ["bob"]
