"""Watch a room: print what is said until somebody says the last word."""

# [start]
import msgspec

from hongyan.client import Client


async def show_room(client: Client, room: str, last_word: str) -> list[str]:
    """Print what is said; return it."""
    said: list[str] = []
    async with client.watch(room, rate=20) as watch:
        print(watch.values["room"]["title"], watch.values.get("likes", 0))
        async for item in watch:
            if item.type == "danmaku":
                said.append(msgspec.json.decode(item.body)["text"])
                print(f"{item.sender}: {said[-1]}")
            if said and said[-1] == last_word:
                break
    return said
    # [end]
