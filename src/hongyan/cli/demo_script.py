"""Who lives in the demonstration and what they have said; data only."""

from __future__ import annotations

from typing import Any

import msgspec


class Person(msgspec.Struct, frozen=True):
    """An account; nobody has a password."""

    user: str
    name: str
    admin: bool = False


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A call in a conversation. `seq` counts messages of the conversation from 1 where `to`,
    `on` name one: the entry's seq is found when it is played."""

    by: str
    text: str = ""
    to: int = 0  # answers the n-th thing said here
    react: str = ""  # instead of text: an emoji on the n-th
    on: int = 0
    mentions: tuple[str, ...] = ()
    picture: str = ""  # instead of text: a picture of this name
    media_ms: int = -1  # in a room: the moment of its recording; -1 = none


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation: direct where it has no title."""

    members: tuple[str, ...]  # the first one opens it
    title: str = ""
    notice: str = ""
    said: tuple[Said, ...] = ()
    read_by: tuple[str, ...] = ()  # who has seen all of it
    settings: dict[str, dict[str, Any]] = {}  # own settings by user


class Show(msgspec.Struct, frozen=True, kw_only=True):
    """A live room. What was said in it lives as long as the server does."""

    name: str  # part of the log id
    title: str
    host: str
    moderators: tuple[str, ...] = ()
    pinned: str = ""
    announced: str = ""
    said: tuple[Said, ...] = ()
    gifts: tuple[tuple[str, str, int, int], ...] = ()  # by, gift, count, value of all


PEOPLE = (
    Person("alice", "Alice Chen", admin=True),
    Person("bob", "Bob Martin"),
    Person("siyuan", "陈思远"),
    Person("xiaolu", "王小鹿"),
    Person("grace", "Grace Okafor"),
    Person("diego", "Diego Ramos"),
)

TALKS = (
    Talk(
        members=("alice", "alice"),
        said=(Said(by="alice", text="Notes to self: renew the certificates before Friday."),),
        read_by=("alice",),
    ),
    Talk(
        members=("xiaolu", "alice", "siyuan"),
        title="周末爬山",
        notice="周六早上七点，地铁站 A 口集合。",
        said=(
            Said(by="xiaolu", text="这周六去爬山吗？天气预报说是晴天 ☀️"),
            Said(by="siyuan", text="去！我带咖啡。"),
            Said(by="alice", text="算我一个，几点集合？"),
            Said(by="xiaolu", text="七点，地铁站 A 口。", to=3),
            Said(by="siyuan", react="👍", on=4),
            Said(by="siyuan", text="@Alice Chen 记得带相机！", mentions=("alice",)),
        ),
        read_by=("xiaolu", "siyuan"),
    ),
    Talk(
        members=("diego", "alice"),
        said=(
            Said(by="diego", text="The invoice for October is in your inbox."),
            Said(by="alice", text="Got it, thank you!"),
        ),
        read_by=("diego", "alice"),
        settings={"alice": {"mute": True}},
    ),
    Talk(
        members=("grace", "alice", "bob", "siyuan", "diego"),
        title="Launch team",
        notice="Stand-up every day at 9:30. Decisions go here, not into direct messages.",
        said=(
            Said(by="grace", text="Good morning! The release candidate is on staging."),
            Said(by="bob", text="Smoke tests are green: 412 passed, 0 failed."),
            Said(by="grace", react="🎉", on=2),
            Said(by="alice", react="🎉", on=2),
            Said(by="siyuan", text="压测也过了：一万人在线，p99 38 毫秒。"),
            Said(by="diego", text="Docs are updated, including the upgrade notes."),
            Said(by="alice", text="Great work. Anything that still blocks us?", to=2),
            Said(by="bob", text="Only the screenshots for the announcement."),
            Said(by="grace", picture="mountains"),
            Said(
                by="grace", text="@Bob Martin how about this one as the cover?", mentions=("bob",)
            ),
        ),
        read_by=("grace",),
        settings={"alice": {"pinned": True}},
    ),
    Talk(
        members=("siyuan", "bob"),
        said=(Said(by="siyuan", text="Bob, 下午三点有空看一下部署脚本吗？"),),
        read_by=("siyuan",),
    ),
    Talk(
        members=("bob", "alice"),
        said=(
            Said(by="bob", text="Hi Alice! Did you see the new message service?"),
            Said(by="alice", text="Yes. One command, and it was running."),
            Said(by="bob", text="I pulled the plug in the middle of a send. Nothing lost."),
            Said(by="alice", react="😮", on=3),
            Said(by="alice", text="Not even twice the same message?"),
            Said(by="bob", text="Once, in order, on every device.", to=4),
            Said(by="bob", text="Write me something, I am online."),
        ),
        read_by=("bob",),
    ),
)

SHOWS = (
    Show(
        name="launch",
        title="发布会 · Launch day",
        host="alice",
        moderators=("siyuan", "grace"),
        pinned="提问请加 #Q · Put #Q before your questions",
        announced="We begin at three o'clock. 三点准时开始。",
        said=(
            Said(by="xiaolu", text="前排！", media_ms=1_000),
            Said(by="bob", text="Hello from Lisbon 👋", media_ms=2_500),
            Said(by="siyuan", text="画面很清楚，声音也没问题", media_ms=4_000),
            Said(by="diego", text="#Q Does it run on one machine?", media_ms=9_000),
            Said(by="grace", text="One process, one file. Yes.", media_ms=12_000),
            Said(by="xiaolu", text="期待压测数据！", media_ms=75_000),
        ),
        gifts=(("bob", "rose", 3, 3), ("xiaolu", "goose", 1, 100)),
    ),
)
