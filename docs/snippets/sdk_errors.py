"""What can go wrong, and what to do."""

# [start]
from hongyan.client import Client, Offline, OutboxFull
from hongyan.model.errors import Muted, NotAMember, Refusal


async def try_to_send(client: Client, log: str, text: str) -> str:
    """Send, and say what became of it."""
    try:
        ack = await client.send(log, text)
    except OutboxFull:
        return "too much is waiting already: try later"  # nothing was queued
    except (NotAMember, Muted) as why:
        return f"you may not: {why}"  # refused for good
    except Refusal as why:
        return f"refused ({why.code}): {why}"
    return f"stored at {ack.seq}"


async def read_last(client: Client, log: str) -> list[int]:
    """The newest seqs, where there is a connection."""
    try:
        page = await client.read(log, before=0, limit=20)
    except Offline:
        return []  # questions are not kept: ask again when connected
    return [entry.seq for entry in page.entries]


# [end]
