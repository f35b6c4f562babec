"""Nothing is lost when the program dies."""

# [start]
from pathlib import Path

from hongyan.client import Client, GetToken, events


async def send_what_is_left(url: str, get_token: GetToken, data: Path) -> list[str]:
    """Start with the file of a program that was killed; say what became of its calls."""
    done: list[str] = []
    async with Client(url, get_token, device="laptop", data=data) as client:
        happened = client.events()
        left = {pending.op for pending in client.outbox}
        while left:
            match await anext(happened):
                case events.Acked(op=op, ack=ack):
                    done.append(f"stored at {ack.seq}")
                    left.discard(op)
                case events.Refused(op=op, error=error):
                    done.append(f"refused: {error}")
                    left.discard(op)
    return done


# [end]
