"""What `hongyan chat` presents to the server."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hongyan.cli import main
from hongyan.cli.access import Whom
from hongyan.cli.chat import SavedToken
from hongyan.client.login import Token
from hongyan.model.errors import Denied

LATER = 4_102_444_800_000  # ms


@pytest.fixture
def me(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Whom:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    found = Whom("http://localhost:8000", "alice", device="desk")
    found.save(Token("one", expires_at=LATER))
    return found


async def test_N16_a_refused_token_is_not_presented_again(me: Whom) -> None:
    source = SavedToken(me, "one")
    assert [await source(), await source()] == ["one", "one"]
    source.forget()
    with pytest.raises(Denied, match="hongyan login --user alice"):
        await source()


async def test_N16_a_newer_login_of_this_machine_is_used(me: Whom) -> None:
    source = SavedToken(me, "one")
    source.forget()
    me.save(Token("two", expires_at=LATER))
    assert [await source(), await source()] == ["two", "two"]


def test_N16_chat_needs_a_terminal(me: Whom) -> None:
    result = CliRunner().invoke(main, ["chat", "--user", "alice"])
    assert result.exit_code == 2
    assert "needs a terminal" in result.output
