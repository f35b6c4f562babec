"""A login page asks whether it should offer to make an account."""

from __future__ import annotations

import pytest
from http_rig import Service


@pytest.mark.parametrize("open_", [True, False])
async def test_T15_anybody_may_ask_whether_registration_is_open(open_: bool) -> None:
    async with Service(**{"accounts.registration": open_}) as service:
        got = await service.get("/v1/register")
        assert (got.status_code, got.json()) == (200, {"open": open_})


async def test_T15_registration_is_closed_where_accounts_are_off() -> None:
    options: dict[str, object] = {"accounts.registration": True, "accounts.enabled": False}
    async with Service(**options) as service:
        assert (await service.get("/v1/register")).json() == {"open": False}
