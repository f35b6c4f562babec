"""The Directory port, on every adapter."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from hongyan.model.errors import Conflict, Kicked
from hongyan.ports import ApiKey, Device, Directory, User

T = "main"


def phone(name: str, epoch: int, cls: str = "phone") -> Device:
    return Device(device=name, cls=cls, epoch=epoch)


async def login(directory: Directory, device: Device, most: int = 1, now_ms: int = 5) -> list[str]:
    return await directory.admit(T, "ann", device, most=most, now_ms=now_ms)


async def test_D19_an_account_is_kept_as_put(directory: Directory) -> None:
    ann = User(
        tenant=T, user="ann", name="Ann", avatar="b:1", admin=True, password="x", created_at=7
    )

    await directory.put_user(ann, create=True)

    assert await directory.user(T, "ann") == ann
    assert await directory.user(T, "bob") is None
    await directory.put_user(User(tenant=T, user="ann", disabled=True))
    assert await directory.user(T, "ann") == User(tenant=T, user="ann", disabled=True)


async def test_D19_an_account_is_created_once(directory: Directory) -> None:
    await directory.put_user(User(tenant=T, user="ann", name="first"), create=True)

    with pytest.raises(Conflict):
        await directory.put_user(User(tenant=T, user="ann", name="second"), create=True)

    found = await directory.user(T, "ann")
    assert found is not None and found.name == "first"


async def test_D19_accounts_are_listed_by_id_page_by_page(directory: Directory) -> None:
    for name in ("cid", "ann", "bob", "Zed"):
        await directory.put_user(User(tenant=T, user=name))

    first = await directory.list_users(T, limit=3)
    rest = await directory.list_users(T, after=first[-1].user, limit=3)

    assert [u.user for u in first] == ["Zed", "ann", "bob"]
    assert [u.user for u in rest] == ["cid"]
    assert {u.user for u in await directory.users(T, ["ann", "nobody", "cid"])} == {"ann", "cid"}


async def test_D23_accounts_and_keys_of_another_tenant_are_not_seen(directory: Directory) -> None:
    await directory.put_user(User(tenant=T, user="ann"))
    await directory.put_key(ApiKey(id="k", tenant=T, digest=b"d" * 32, scopes=("send",)))

    assert await directory.user("other", "ann") is None
    assert await directory.users("other", ["ann"]) == []
    assert await directory.list_users("other") == []
    assert await directory.keys("other") == []
    assert not await directory.drop_key("other", "k")
    await login(directory, phone("p", 1))
    assert await directory.devices("other", "ann") == []


async def test_D19_a_key_is_found_by_its_digest_until_dropped(directory: Directory) -> None:
    key = ApiKey(id="k", tenant=T, digest=b"d" * 32, scopes=("send", "admin"), created_at=3)

    await directory.put_key(key)

    assert await directory.key(b"d" * 32) == key
    assert await directory.keys(T) == [key]
    assert await directory.key(b"e" * 32) is None
    assert await directory.drop_key(T, "k")
    assert not await directory.drop_key(T, "k")
    assert await directory.key(b"d" * 32) is None


async def test_D17_a_newer_login_evicts_the_older_one_of_its_class(directory: Directory) -> None:
    assert await login(directory, phone("old", 10)) == []
    assert await login(directory, phone("pc", 11, "desktop")) == []

    assert await login(directory, phone("new", 20)) == ["old"]

    kicked = {d.device: d.kicked for d in await directory.devices(T, "ann")}
    assert kicked == {"old": 10, "pc": 0, "new": 0}


async def test_D17_a_late_reconnect_with_an_older_epoch_evicts_nobody(directory: Directory) -> None:
    await login(directory, phone("new", 20))

    with pytest.raises(Kicked):
        await login(directory, phone("old", 10))

    assert await login(directory, phone("new", 20)) == []
    assert [d.device for d in await directory.devices(T, "ann")] == ["new"]


@pytest.mark.parametrize("order", [*itertools.permutations([1, 2, 3, 4])])
async def test_D17_the_highest_epochs_stay_in_any_order(
    directory: Directory, order: tuple[int, ...]
) -> None:
    logins = (login(directory, phone(f"p{epoch}", epoch), most=2) for epoch in order)

    await asyncio.gather(*logins, return_exceptions=True)

    active = {d.device for d in await directory.devices(T, "ann") if d.epoch > d.kicked}
    assert active == {"p3", "p4"}


async def test_D17_racing_logins_of_one_epoch_are_decided_the_same(directory: Directory) -> None:
    await login(directory, phone("b", 7))
    with pytest.raises(Kicked):
        await login(directory, phone("a", 7))
    assert await login(directory, phone("c", 7)) == ["b"]


async def test_D18_an_evicted_login_is_refused_for_ever(directory: Directory) -> None:
    await login(directory, phone("old", 10))
    await login(directory, phone("new", 20))
    await directory.revoke(T, "ann", "new")

    with pytest.raises(Kicked):  # though the place is free now
        await login(directory, phone("old", 10))

    assert await login(directory, phone("old", 21)) == []


async def test_D18_the_same_device_comes_back_with_the_same_or_a_newer_login(
    directory: Directory,
) -> None:
    await login(directory, phone("p", 10), now_ms=1)

    assert await login(directory, phone("p", 10), now_ms=2) == []
    assert await login(directory, phone("p", 11), now_ms=3) == []
    with pytest.raises(Kicked):
        await login(directory, phone("p", 10))

    [device] = await directory.devices(T, "ann")
    assert (device.epoch, device.seen_at) == (11, 3)


async def test_D18_logging_out_refuses_the_login_and_all_before(directory: Directory) -> None:
    await login(directory, phone("p", 10))
    await directory.revoke(T, "ann", "p")
    await directory.revoke(T, "ann", "never seen")

    for epoch in (9, 10):
        with pytest.raises(Kicked):
            await login(directory, phone("p", epoch))
    assert await login(directory, phone("p", 11)) == []


async def test_D17_zero_means_any_number_and_devices_come_newest_first(
    directory: Directory,
) -> None:
    for epoch in (2, 5, 3):
        assert await login(directory, phone(f"w{epoch}", epoch, "web"), most=0) == []

    assert [d.epoch for d in await directory.devices(T, "ann")] == [5, 3, 2]


async def test_D17_lowering_the_limit_evicts_all_beyond_it(directory: Directory) -> None:
    for epoch in (1, 2, 3):
        await login(directory, phone(f"w{epoch}", epoch, "web"), most=0)

    assert set(await login(directory, phone("w9", 9, "web"), most=1)) == {"w1", "w2", "w3"}


async def people(directory: Directory, text: str, limit: int = 20) -> list[str]:
    return [user.user for user in await directory.find_users(T, text, limit=limit)]


async def test_HA1_people_are_found_by_the_beginning_of_id_or_name(directory: Directory) -> None:
    for name, shown in (
        ("ann", "Ann Lee"),
        ("Annabel", "Bel"),
        ("bob@home", "Bob van der Lee"),
        ("zs", "张三 Zhang"),
        ("elf", "Élan ＷＩＤＥ"),
    ):
        await directory.put_user(User(tenant=T, user=name, name=shown))
    await directory.put_user(User(tenant="other", user="annie"))
    await directory.put_user(User(tenant=T, user="anno", disabled=True))

    assert await people(directory, "AN") == ["ann", "Annabel"]
    assert await people(directory, "lee") == ["ann", "bob@home"]
    assert await people(directory, "ann le") == ["ann"]
    assert await people(directory, "bob@h") == ["bob@home"]
    assert await people(directory, "der") == ["bob@home"]
    assert await people(directory, "张") == ["zs"]
    assert await people(directory, "éla") == await people(directory, "wide") == ["elf"]
    assert await people(directory, "ee") == []  # in the middle of a word
    assert await people(directory, " ") == await people(directory, "") == []
    assert await people(directory, "a", limit=1) == ["ann"]


async def test_HA1_a_new_name_is_found_and_the_old_one_is_not(directory: Directory) -> None:
    await directory.put_user(User(tenant=T, user="ann", name="Ann Lee"))
    await directory.put_user(User(tenant=T, user="ann", name="Ann Wu"))
    assert (await people(directory, "wu"), await people(directory, "lee")) == (["ann"], [])
    await directory.put_user(User(tenant=T, user="ann", name="Ann Wu", disabled=True))
    assert await people(directory, "ann") == []
    await directory.put_user(User(tenant=T, user="ann", name="Ann Wu"))
    assert await people(directory, "ann") == ["ann"]


async def test_HA1_one_person_takes_one_place(directory: Directory) -> None:
    await directory.put_user(User(tenant=T, user="a0", name="a1 a2 a3 a4 a5 a6 a7 a8 a9 a10"))
    await directory.put_user(User(tenant=T, user="az"))
    assert await people(directory, "a", limit=2) == ["a0", "az"]


async def test_HA2_forgotten_devices_leave_nothing(directory: Directory) -> None:
    await login(directory, phone("p", 1))
    await directory.forget_devices(T, "ann")
    await directory.forget_devices(T, "nobody")
    assert await directory.devices(T, "ann") == []
