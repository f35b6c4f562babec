"""The states of a session on either side, as data.

A row says: in this state, at this input, go there. What has no row is refused. Code looks up
here and `docs/protocol.md` is drawn from here, so that neither can say something else.

Server: `hello`, `frame` and `bye` come from the client (`frame` is any other frame); `opened`
and `goodbye` are said by the engine. Client: `welcome` and `goodbye` come from the server;
`hello`, `bye` and `lost` are told by the shell that owns the socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

ServerState = Literal["new", "opening", "open", "closed"]
ServerInput = Literal["hello", "opened", "frame", "bye", "goodbye"]
ClientState = Literal["down", "opening", "open", "closing"]
ClientInput = Literal["hello", "welcome", "frame", "bye", "goodbye", "lost"]

SERVER: Mapping[tuple[ServerState, ServerInput], ServerState] = MappingProxyType(
    {
        ("new", "hello"): "opening",
        ("new", "bye"): "closed",
        ("new", "goodbye"): "closed",
        ("opening", "opened"): "open",
        ("opening", "bye"): "closed",
        ("opening", "goodbye"): "closed",
        ("open", "frame"): "open",
        ("open", "bye"): "closed",
        ("open", "goodbye"): "closed",
    }
)

CLIENT: Mapping[tuple[ClientState, ClientInput], ClientState] = MappingProxyType(
    {
        ("down", "hello"): "opening",
        ("opening", "welcome"): "open",
        ("opening", "goodbye"): "closing",
        ("opening", "bye"): "closing",
        ("opening", "lost"): "down",
        ("open", "frame"): "open",
        ("open", "goodbye"): "closing",
        ("open", "bye"): "closing",
        ("open", "lost"): "down",
        ("closing", "frame"): "closing",
        ("closing", "goodbye"): "closing",
        ("closing", "lost"): "down",
    }
)


def draw(table: Mapping[tuple[str, str], str]) -> str:
    """The table as text for the docs, one line a transition, in the order of the table."""
    width = max(len(state) for state, _ in table)
    label = max(len(given) for _, given in table)
    return "\n".join(
        f"{state:{width}} --{given + ' ':-<{label + 1}}--> {after}"
        for (state, given), after in table.items()
    )
