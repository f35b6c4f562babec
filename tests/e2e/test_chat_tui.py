"""The terminal client, driven as a person drives it, against a real server."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from chat_rig import seat, with_history

from hongyan.bench.server import ServerProcess
from hongyan.cli.tui.panels import Panel, Picker


async def test_N1_two_people_with_two_devices_each_talk(server: ServerProcess) -> None:
    """Receipts, unread counts and history agree on all four screens."""
    async with (
        seat(server, "bob") as bob,
        seat(server, "bob", "phone", cls="phone") as bobs_phone,
        seat(server, "alice") as alice,
        seat(server, "alice", "phone", cls="phone", lang="zh", size=(44, 24)) as phone,
    ):
        await alice.type("/open bob")
        await alice.until(lambda: alice.app.log_open, "the conversation")
        await alice.type("hello bob")
        await alice.sees("hello bob")
        await alice.sees("✓✓")  # delivered: bob's devices have it, nobody has read it
        assert alice.app.desk.row(alice.app.log_open).peer_read == 0

        for there in (bob, bobs_phone):
            await there.until(lambda seat=there: seat.unread("alice") == 1, "one unread message")
        await bob.pilot.press("ctrl+n")
        await bob.sees("hello bob")
        for there in (bob, bobs_phone):  # read at one device is read at the other
            await there.until(lambda seat=there: seat.unread("alice") == 0, "nothing unread")
        row = alice.app.desk.row
        await alice.until(lambda: row(alice.app.log_open).peer_read == 1, "that bob has read")

        await bob.type("你好，alice")
        await alice.sees("你好，alice")
        await phone.until(lambda: phone.app.desk.items(), "the conversation in the list")
        await phone.pilot.press("ctrl+n")
        await phone.sees("你好，alice")
        assert (
            phone.messages() == alice.messages() == bob.messages() == ["hello bob", "你好，alice"]
        )


async def test_N2_kill_in_the_middle_loses_and_doubles_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    """The client says so, queues, comes back; both sides have each message once, in order."""
    async with (
        seat(server, "alice", data=tmp_path / "a.db") as alice,
        seat(server, "bob", lang="zh") as bob,
    ):
        await alice.type("/open bob")
        await alice.until(lambda: alice.app.log_open, "the conversation")
        await bob.until(lambda: bob.app.desk.items(), "the conversation")
        await bob.pilot.press("ctrl+n")
        said = []
        for n in range(8):
            said.append(f"before {n}")
            await alice.type(said[-1])
        server.stop(signal.SIGKILL)
        await alice.sees("offline")
        for n in range(8):
            said.append(f"while it is down {n}")
            await alice.type(said[-1])
        await alice.sees("queued")
        await alice.sees("while it is down 7 sending")
        server.start()
        await alice.until(lambda: alice.app.desk.client.online, "the server again")
        said.append("after")
        await alice.type(said[-1])
        await alice.until(lambda: not len(alice.app.desk.client.outbox), "an empty outbox")
        await alice.until(lambda: alice.messages() == said, "all of it once")
        await bob.until(lambda: bob.messages() == said, "all of it once")
        await bob.until(lambda: bob.unread("alice") == 0, "nothing unread")


async def test_N2_without_a_connection_only_what_is_here_opens(
    server: ServerProcess, tmp_path: Path
) -> None:
    """A conversation that was open before the program started again is read from the disk."""
    data = tmp_path / "a.db"
    async with seat(server, "bob"), seat(server, "carol") as carol:
        async with seat(server, "alice", data=data) as alice:
            await alice.type("/open bob")
            await alice.sees("Message bob")
            await alice.type("kept here")
            await alice.sees("✓✓")
            await carol.type("/open alice")
            await carol.type("never opened")
            await alice.until(lambda: alice.unread("carol") == 1, "a second conversation")
        async with seat(server, "alice", data=data) as alice:
            server.stop(signal.SIGKILL)
            await alice.sees("offline")
            await alice.app.enter("main/d/alice~carol")
            await alice.sees("You are offline")
            await alice.app.enter("main/d/alice~bob")
            await alice.sees("kept here")
            await alice.type("and this goes out later")
            await alice.sees("and this goes out later sending")
        server.start()
        async with seat(server, "alice", data=data) as alice:
            await alice.app.enter("main/d/alice~bob")
            said = ["kept here", "and this goes out later"]
            await alice.until(lambda: alice.messages() == said, "both, once")


async def test_N3_history_scrolls_without_a_jump(server: ServerProcess) -> None:
    log = await with_history(server, 260)
    async with seat(server, "bob") as bob, seat(server, "alice") as alice:
        await alice.pilot.press("ctrl+n")
        await alice.sees("past 000")  # everything is unread: it begins at the first
        await alice.pilot.press("ctrl+end")
        await alice.sees("past 259")

    async with seat(server, "bob") as bob, seat(server, "alice") as alice:
        await alice.pilot.press("ctrl+n")
        await alice.sees("past 259")
        thread = alice.app.desk.threads[log]
        pane = alice.app.pane
        assert len(thread) == 100
        pane.focus()
        while len(thread) < 260:
            await alice.pilot.press("pageup")
            anchor, had = pane._anchor(), len(thread)
            if pane.scroll_offset.y < 15:  # near the top: a page comes in front
                await alice.until(lambda had=had: len(thread) > had or not thread.more, "older")
                await alice.pilot.pause(0.1)
                assert pane._anchor() == anchor
        assert [m.entry.seq for m in thread] == list(range(1, 261))

        pane.go_to(130)
        await alice.pilot.pause()
        anchor = pane._anchor()
        await bob.app.desk.client.call(
            "chat.edit",
            {"seq": 100, "content": {"type": "text", "text": "longer\n" * 9}},
            log=log,
        )
        await bob.app.desk.client.send(log, "below the screen")
        await alice.sees("1 new")
        assert pane._anchor() == anchor
        await alice.pilot.resize_terminal(100, 30)
        await alice.pilot.pause(0.1)
        assert pane._anchor()[0] == anchor[0]


async def test_N4_the_cursor_moves_with_what_is_shown(server: ServerProcess) -> None:
    log = await with_history(server, 60)
    async with seat(server, "bob") as bob, seat(server, "alice") as alice:
        row = alice.app.desk.row
        await alice.pilot.press("ctrl+n")
        await alice.sees("new messages")
        await alice.until(lambda: row(log).read > 0, "the first messages")
        assert row(log).read < 30 and row(log).unread == 60 - row(log).read
        await alice.pilot.press("ctrl+end")
        await alice.until(lambda: row(log).unread == 0, "all of it")

        alice.app.on_app_blur()
        await bob.app.desk.client.send(log, "nobody looks")
        await alice.sees("nobody looks")
        await alice.pilot.pause(0.1)
        assert row(log).unread == 1
        alice.app.on_app_focus()
        await alice.until(lambda: row(log).unread == 0, "that somebody looks")

        await alice.pilot.press("f1")
        await bob.app.desk.client.send(log, "covered")
        await alice.until(lambda: row(log).unread == 1, "an unread message")
        await alice.pilot.pause(0.1)
        assert row(log).unread == 1
        await alice.pilot.press("escape")
        await alice.until(lambda: row(log).unread == 0, "what was covered")


async def test_N5_a_refused_message_says_why(server: ServerProcess) -> None:
    async with seat(server, "bob") as bob, seat(server, "alice") as alice:
        await alice.type("/open bob")
        await alice.until(lambda: alice.app.log_open, "the conversation")
        await bob.app.desk.client.call("own.block", {"user": "alice"})
        await alice.type("are you there?")
        await alice.sees("not sent: ")
        await alice.sees("✗")
        await alice.type("/dismiss")
        await alice.until(lambda: "are you there?" not in alice.screen(), "an empty pane")


async def test_N6_reply_edit_react_pin_recall(server: ServerProcess) -> None:
    """By keys on a chosen message, and by commands."""
    async with seat(server, "bob", lang="zh") as bob, seat(server, "alice") as alice:
        await alice.type("/open bob")
        await alice.until(lambda: alice.app.log_open, "the conversation")
        await alice.type("frist")
        await bob.until(lambda: bob.app.desk.items(), "the conversation")
        await bob.pilot.press("ctrl+n")
        await bob.sees("frist")
        await alice.type("/edit first")
        await bob.sees("first (已编辑)")
        await bob.pilot.press("up")  # chooses it
        await bob.pilot.press("r")
        await bob.sees("回复 alice：first")
        await bob.type("答复")
        await alice.sees("▎ You: first")
        await bob.type("/react 🎉")  # the newest message: the own answer
        await alice.sees("🎉 1")
        await alice.type("/pin")
        await bob.sees("★ 已置顶")
        await bob.type("/recall")
        await alice.sees("bob recalled a message")
        assert "答复" not in alice.screen() + bob.screen()


async def test_N9_who_is_logged_out_is_told_why(server: ServerProcess) -> None:
    async with seat(server, "alice", "old") as old:
        await asyncio.sleep(1.1)  # tokens of the next second belong to a newer login
        async with seat(server, "alice", "new"):
            await old.sees("a newer login took its place")
            assert isinstance(old.app.screen, Panel)
            await old.pilot.press("enter")
            await old.until(lambda: old.app.return_value == 1, "the end")
            assert "newer login" in old.app.ended


async def test_N10_commands_are_not_sent(server: ServerProcess) -> None:
    async with seat(server, "bob") as bob, seat(server, "alice") as alice:
        await alice.type("/open bob")
        await alice.until(lambda: alice.app.log_open, "the conversation")
        await alice.type("/opne carol")
        await alice.sees("There is no command /opne")
        await alice.type("/open")
        await alice.sees("Usage: /open USER")
        await alice.type("/open nobody-of-that-name")
        await alice.sees("Not done: ")
        await alice.type("/se", "tab")
        assert alice.app.composer.text == "/search "
        await alice.type("//shrug")
        await alice.sees("  /shrug")
        await bob.until(lambda: bob.unread("alice") == 1, "the only message")
        await bob.pilot.press("ctrl+n")
        await bob.sees("/shrug")
        assert bob.messages() == ["/shrug"]


async def test_N10_search_goes_to_the_message(server: ServerProcess) -> None:
    log = await with_history(server, 250)
    async with seat(server, "alice") as alice:
        await alice.pilot.press("ctrl+n")
        await alice.sees("past 000")
        await alice.pilot.press("ctrl+end")
        await server.quiet()  # the index is up to date
        await alice.type("/search past 017")
        await alice.until(lambda: isinstance(alice.app.screen, Picker), "hits")
        await alice.pilot.press("enter")
        await alice.sees("past 017")
        assert alice.app.pane.chosen == next(
            m.entry.seq for m in alice.app.desk.threads[log] if b"past 017" in bytes(m.body)
        )


async def test_N11_narrow_terminals_show_one_thing_at_a_time(server: ServerProcess) -> None:
    await with_history(server, 1)
    async with seat(server, "alice", size=(30, 16)) as alice:
        await alice.sees("past 000")  # the preview in the list
        assert not alice.app.query_one("#main").display
        alice.app.sidebar.focus()
        await alice.pilot.press("down", "enter")
        await alice.until(lambda: alice.app.query_one("#main").display, "the messages")
        assert not alice.app.query_one("#side").display
        await alice.type("fits")
        await alice.sees("fits")
        await alice.pilot.press("ctrl+l")
        await alice.until(lambda: alice.app.query_one("#side").display, "the list")
        await alice.pilot.press("escape")
        await alice.until(lambda: alice.app.query_one("#main").display, "the messages")
        await alice.pilot.resize_terminal(90, 24)
        await alice.until(lambda: alice.app.query_one("#side").display, "both")
        assert alice.app.query_one("#main").display


async def test_N13_a_group_counts_who_has_read(server: ServerProcess) -> None:
    async with (
        seat(server, "bob") as bob,
        seat(server, "carol") as carol,
        seat(server, "alice") as alice,
    ):
        await alice.type('/group "Team one" bob carol')
        await alice.sees("Team one")
        await alice.type("@bob shall we?")
        await alice.sees("0/2")
        await bob.until(lambda: bob.app.desk.items()[0].called, "that it is meant")
        await bob.pilot.press("ctrl+n")
        await bob.sees("shall we?")
        await alice.sees("1/2")
        await bob.until(lambda: not bob.app.desk.items()[0].called, "that it is read")
        assert carol.unread("Team one") == 1 and not carol.app.desk.items()[0].called
        await carol.pilot.press("ctrl+n")
        await alice.sees("2/2")
        await alice.type("/members")
        await alice.sees("Members of Team one (3)")
        await alice.pilot.press("escape")
        await bob.type("/leave")
        await alice.sees("bob left")


async def test_N14_a_begun_text_waits_in_its_conversation(server: ServerProcess) -> None:
    async with seat(server, "bob"), seat(server, "carol"), seat(server, "alice") as alice:
        await alice.type("/open bob")
        await alice.sees("Message bob")
        alice.app.composer.load("not yet fin")
        await alice.app.desk.client.call("chat.open", {"user": "carol"})
        await alice.until(lambda: len(alice.app.desk.items()) == 2, "the other conversation")
        await alice.pilot.press("ctrl+n")
        await alice.sees("Message carol")
        await alice.sees("[draft] not yet fin")
        await alice.app.enter("main/d/alice~bob")
        assert alice.app.composer.text == "not yet fin"


async def test_N15_at_rest_nothing_is_drawn(server: ServerProcess) -> None:
    """After a message, typing and a lost connection all timers end."""
    await with_history(server, 3)
    async with seat(server, "alice") as alice:
        app = alice.app
        await alice.pilot.press("ctrl+n")
        await alice.sees("past 002")
        server.stop(signal.SIGKILL)
        await alice.sees("offline")
        assert app._tick is not None  # the countdown
        server.start()
        await alice.until(lambda: app.desk.client.online, "the server")
        app.tell("a word")
        resting = lambda: all(  # noqa: E731
            timer is None or timer._task is None or timer._task.done()
            for timer in (app._tick, app._due, app._ask, app._untell)
        )
        await alice.until(resting, "rest")
        assert app._tick is None
        assert not app.composer.cursor_blink
