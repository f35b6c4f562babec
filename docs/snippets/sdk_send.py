"""Send a message, and know that it is on disk."""

# [start]
from hongyan.client import Client, GetToken


async def say_hello(url: str, get_token: GetToken) -> int:
    """Open the conversation with Bob and greet him."""
    async with Client(url, get_token, device="laptop") as client:
        opened = await client.call("chat.open", {"user": "bob"})
        ack = await client.send(opened.log, "Hello, Bob")
        return ack.seq  # the place of the message in its log, for ever


# [end]
