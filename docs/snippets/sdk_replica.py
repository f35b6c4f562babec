"""What a screen shows: messages with their edits, reactions and recalls applied."""

# [start]
import msgspec

from hongyan.client import Client, fold_page


async def lines(client: Client, log: str) -> list[str]:
    """The newest messages, as they stand now."""
    replica = await client.open(log)  # from now on it follows the log by itself
    shown = []
    for message in replica.messages():
        if message.entry.type != "message":
            continue
        if message.erased:
            shown.append("(taken back)")
            continue
        text = msgspec.json.decode(message.body)["content"]["text"]
        reactions = [msgspec.json.decode(e.body) for s, e in message.amends.items() if s != "edit"]
        icons = " ".join(r["emoji"] for r in reactions if r.get("on"))
        shown.append(f"{message.entry.sender}: {text} {icons}".rstrip())
    return shown


async def older(client: Client, log: str, before: int) -> int:
    """A page of history that is not kept in memory."""
    page = await client.read(log, before=before, limit=50)
    return len(fold_page(page))


# [end]
