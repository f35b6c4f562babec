"""Answer every message of a conversation."""

# [start]
import msgspec

from hongyan.client import Client


async def echo(client: Client, log: str, stop_word: str) -> int:
    """Answer until somebody says the stop word; start at the beginning of the log."""
    answered = 0
    async for entry in client.entries(log, after=0):  # each once, in order, over reconnects
        if entry.type != "message" or entry.sender == client.user:
            continue
        text = msgspec.json.decode(entry.body)["content"]["text"]
        if text == stop_word:
            break
        await client.send(log, f"You said {text}", reply_to=entry.seq)
        answered += 1
    return answered


# [end]
