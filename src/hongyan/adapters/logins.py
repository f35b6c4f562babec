"""Which login stays: the decision of `Directory.admit`, shared by every adapter of it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from hongyan.model.errors import Kicked
from hongyan.ports import Device


def admit(
    rows: Iterable[Device], device: Device, *, most: int, now_ms: int
) -> tuple[Device, list[Device]]:
    """Take the login of `device` among the user's `rows`: the row to keep for it, and the rows,
    already marked as evicted, that had to go. Equal epochs are ordered by device id, so that
    every node decides the same.

    Raises:
        Kicked: a newer login holds the device or all places of its class, or it was evicted.
    """
    known = next((row for row in rows if row.device == device.device), None)
    kicked = known.kicked if known is not None else 0
    if device.epoch <= kicked:
        raise Kicked("this login was evicted; log in again")
    if known is not None and device.epoch < known.epoch:
        raise Kicked("a newer login of this device took its place")
    rivals = [
        row
        for row in rows
        if row.device != device.device and row.cls == device.cls and row.epoch > row.kicked
    ]
    ranked = sorted([*rivals, device], key=lambda d: (d.epoch, d.device), reverse=True)
    losers = ranked[most:] if most else []
    if device in losers:
        raise Kicked(f"newer logins hold all places for a {device.cls}")
    mine = replace(device, kicked=kicked, seen_at=now_ms)
    return mine, [replace(row, kicked=row.epoch) for row in losers]
