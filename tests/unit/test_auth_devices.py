from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator

import pytest
from auth_rig import ALICE, MAIN, PASSWORD, Access
from hypothesis import given, settings
from hypothesis import strategies as st

from hongyan.engine.auth import Identity
from hongyan.model.errors import (
    BadArgs,
    BadId,
    Disabled,
    Forbidden,
    Kicked,
    NoSuchUser,
    Unauthenticated,
)
from hongyan.model.ids import DeviceId, TenantId, UserId


@pytest.fixture
def access() -> Iterator[Access]:
    access = Access()
    yield access
    access.auth.close()


def login(epoch: int, device: str = "") -> Identity:
    return Identity(tenant=MAIN, user=ALICE, epoch=epoch, device=DeviceId(device))


async def come(access: Access, device: str, epoch: int, cls: str = "phone") -> list[DeviceId]:
    return (await access.auth.admit(login(epoch), device, cls))[1]


async def test_A13_newer_phone_takes_the_place_of_the_older(access: Access) -> None:
    assert await come(access, "old", 1) == []
    assert await come(access, "new", 2) == ["old"]
    with pytest.raises(Kicked):
        await come(access, "old", 1)
    assert await come(access, "new", 2) == []  # again and again
    assert await come(access, "old", 3) == ["new"]  # a new login on the old phone


async def test_A13_late_reconnect_of_the_old_device_cannot_evict_the_new(access: Access) -> None:
    await come(access, "new", 2)
    with pytest.raises(Kicked):
        await come(access, "old", 1)
    assert await come(access, "new", 2) == []


@pytest.mark.parametrize("first", ["old", "new"])
async def test_A13_kick_race_newer_login_stays_whatever_the_order(
    access: Access, first: str
) -> None:
    """Old and new device reconnect at once, both with good tokens."""
    await access.user()
    tokens = {}
    for device in ("old", "new"):
        tokens[device] = await access.auth.login("main", "alice", PASSWORD, device=device, ip="")
        access.clock.advance(1)

    async def reconnect(device: str) -> list[DeviceId]:
        identity = await access.auth.authenticate(tokens[device], admits=True)
        return (await access.auth.admit(identity, device, "phone"))[1]

    order = [first, "new" if first == "old" else "old"]
    results = dict(
        zip(
            order,
            await asyncio.gather(*map(reconnect, order), return_exceptions=True),
            strict=True,
        )
    )
    assert not isinstance(results["new"], BaseException)
    assert results["new"] == ["old"] or isinstance(results["old"], Kicked)
    with pytest.raises(Kicked):
        await reconnect("old")
    assert await reconnect("new") == []


@settings(deadline=None)
@given(
    comers=st.lists(
        st.tuples(st.sampled_from("abcdefg"), st.integers(1, 30)), min_size=1, max_size=25
    )
)
async def test_A13_the_newest_logins_of_a_class_stay_in_any_order(
    comers: list[tuple[str, int]],
) -> None:
    """After any run of logins and retries: at most 5 browsers are active, and a login that is
    not among the 5 newest devices is refused."""
    access = Access()
    newest: dict[str, int] = {}
    for device, epoch in comers:
        newest[device] = max(epoch, newest.get(device, 0))
        try:
            await come(access, device, epoch, "web")
        except Kicked:
            continue
    for device, epoch in newest.items():  # everybody tries once more with the newest token
        try:
            await come(access, device, epoch, "web")
        except Kicked:
            continue
    rows = await access.directory.devices(MAIN, ALICE)
    active = {row.device for row in rows if row.epoch > row.kicked}
    ranked = sorted(newest, key=lambda device: (newest[device], device), reverse=True)
    assert active == set(ranked[:5])
    access.auth.close()


async def test_A13_classes_do_not_push_each_other(access: Access) -> None:
    assert await come(access, "p", 1, "phone") == []
    assert await come(access, "d", 2, "desktop") == []
    assert await come(access, "t", 3, "pad") == []
    for n in range(5):
        assert await come(access, f"w{n}", 10 + n, "web") == []
    assert await come(access, "w5", 20, "web") == ["w0"]
    for n in range(50):  # 0 = any number
        assert await come(access, f"s{n}", 1 + n, "thing") == []


async def test_A13_policy_comes_from_the_configuration() -> None:
    access = Access(**{"devices.phone": 2})
    await come(access, "a", 1)
    assert await come(access, "b", 2) == []
    assert await come(access, "c", 3) == ["a"]
    access.auth.close()


async def test_A13_unknown_class_and_bad_names_are_refused(access: Access) -> None:
    for cls in ("toaster", "", "__init__"):
        with pytest.raises(BadArgs, match="device class"):
            await come(access, "a", 1, cls)
    with pytest.raises(BadId):
        await come(access, "a/b", 1)


async def test_A14_token_of_one_device_does_not_serve_another(access: Access) -> None:
    with pytest.raises(Unauthenticated, match="another device"):
        await access.auth.admit(login(1, "mine"), "yours", "phone")
    assert await access.auth.admit(login(1, "mine"), "mine", "phone") == (1, [])
    assert await access.auth.admit(login(1), "yours", "web") == (1, [])


async def test_A14_logout_voids_the_login(access: Access) -> None:
    await come(access, "a", 5)
    await access.auth.logout(login(5, "a"), "a")
    with pytest.raises(Kicked):
        await come(access, "a", 5)
    assert await come(access, "a", 6) == []
    with pytest.raises(BadId):
        await access.auth.logout(login(5), "a/b")


async def test_A15_new_login_is_newer_even_if_the_clock_went_back(access: Access) -> None:
    """Without this, an hour of winter time would lock every new phone out."""
    await access.user()
    old = await access.auth.authenticate(await access.auth.grant(MAIN, ALICE, device="old"))
    await access.auth.admit(old, "old", "phone")
    access.clock.jump_wall(-3_600_000)
    new = await access.auth.authenticate(await access.auth.grant(MAIN, ALICE, device="new"))
    assert new.epoch > old.epoch
    assert (await access.auth.admit(new, "new", "phone"))[1] == ["old"]


async def test_A15_login_on_a_revoked_device_is_above_what_was_revoked(access: Access) -> None:
    await access.user()
    first = await access.auth.authenticate(await access.auth.grant(MAIN, ALICE, device="d"))
    await access.auth.admit(first, "d", "phone")
    await access.auth.logout(first, "d")
    again = await access.auth.authenticate(await access.auth.grant(MAIN, ALICE, device="d"))
    assert await access.auth.admit(again, "d", "phone") == (again.epoch, [])


# --- API keys ---------------------------------------------------------------------------------


async def test_A7_key_is_kept_as_a_digest_and_carries_its_scopes(access: Access) -> None:
    key, text = await access.auth.create_key(TenantId("acme"), ("send", "users", "send"))
    assert text.startswith(f"hyk_{key.id}_") and len(text) > 50
    kept = (await access.directory.keys(TenantId("acme")))[0]
    assert kept.digest == hashlib.sha256(text.encode()).digest()
    secret = text.split("_", 2)[2]
    assert secret not in repr(kept) and secret.encode() not in kept.digest
    who = await access.auth.authenticate(text)
    assert (who.tenant, who.user, who.scopes, who.admin) == ("acme", "", ("send", "users"), False)
    assert who.may("send") and not who.may("admin") and not who.may("send_as")


async def test_A7_wrong_dropped_and_odd_keys_are_refused(access: Access) -> None:
    key, text = await access.auth.create_key(MAIN, ("send",))
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    for odd in (wrong, "hyk_", "hyk__", f"hyk_{key.id}_", text + " ", text * 9, "hyk_\ud800"):
        with pytest.raises(Unauthenticated, match="API key"):
            await access.auth.authenticate(odd)
    assert await access.directory.drop_key(MAIN, key.id)
    with pytest.raises(Unauthenticated):
        await access.auth.authenticate(text)


async def test_A7_scopes_must_exist(access: Access) -> None:
    for scopes in ((), ("everything",), ("send", "root")):
        with pytest.raises(BadArgs, match="scopes are some of"):
            await access.auth.create_key(MAIN, scopes)
    with pytest.raises(BadId):
        await access.auth.create_key(TenantId("A/B"), ("send",))


async def test_A7_key_speaks_for_a_user_only_with_send_as(access: Access) -> None:
    await access.user(admin=True)
    await access.user("gone", disabled=True)
    plain = await access.auth.authenticate((await access.auth.create_key(MAIN, ("send",)))[1])
    with pytest.raises(Forbidden, match="send_as"):
        await access.auth.act_as(plain, "alice")
    with pytest.raises(Forbidden):
        await access.auth.act_as(login(1), "alice")  # a person has no such right
    admin = Identity(tenant=MAIN, user=UserId("root"), epoch=1, admin=True)
    with pytest.raises(Forbidden):
        await access.auth.act_as(admin, "alice")
    key = await access.auth.authenticate((await access.auth.create_key(MAIN, ("send_as",)))[1])
    alice = await access.auth.act_as(key, "alice")
    assert (alice.tenant, alice.user, alice.admin) == ("main", "alice", False)
    with pytest.raises(NoSuchUser):
        await access.auth.act_as(key, "nobody")
    with pytest.raises(Disabled):
        await access.auth.act_as(key, "gone")
    with pytest.raises(BadId):
        await access.auth.act_as(key, "a/b")
    acme = await access.auth.authenticate(
        (await access.auth.create_key(TenantId("acme"), ("send_as",)))[1]
    )
    with pytest.raises(NoSuchUser):
        await access.auth.act_as(acme, "alice")


async def test_A7_key_takes_no_place_of_a_device(access: Access) -> None:
    key = await access.auth.authenticate((await access.auth.create_key(MAIN, ("send_as",)))[1])
    await access.user()
    as_alice = await access.auth.act_as(key, "alice")
    assert await access.auth.admit(as_alice, "http", "phone") == (key.epoch, [])
    assert await access.directory.devices(MAIN, ALICE) == []


async def test_A10_grant_needs_an_account(access: Access) -> None:
    with pytest.raises(NoSuchUser):
        await access.auth.grant(MAIN, ALICE)
    await access.user()
    with pytest.raises(BadId):
        await access.auth.grant(MAIN, ALICE, device="a/b")
    token = await access.auth.grant(MAIN, ALICE, ttl_s=60)
    assert (await access.auth.authenticate(token)).expires_at == (access.now_s + 60) * 1000
