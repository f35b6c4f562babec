"""A conversation list that is always right."""

# [start]
from hongyan.client import Client, events


async def show_unread(client: Client, log: str) -> list[int]:
    """Print the unread count of a conversation each time it changes, until it is read."""
    shown: list[int] = []
    async for event in client.events():
        if isinstance(event, events.RowChanged) and event.row.log == log:
            shown.append(event.row.unread)
            if event.row.unread >= 3:
                await client.mark_read(log)  # all devices of the user will show 0
            elif max(shown) >= 3 and event.row.unread == 0:
                break
        elif isinstance(event, events.Missed):  # too slow: the rows themselves are complete
            shown.append(client.rows[log].unread)
    return shown


# [end]
