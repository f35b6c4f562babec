"""AD: accounts and places as they were a moment ago, and never as they are not any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from hongyan.adapters.memory.bus import MemoryBus
from hongyan.adapters.memory.clock import ManualClock
from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.engine.admission.directory import KEEP_S, TOGETHER, KeptDirectory
from hongyan.model.errors import Kicked, StoreDown
from hongyan.model.ids import DeviceId, TenantId, UserId
from hongyan.ports import Device, Evicted, User

MAIN = TenantId("main")
ALICE = UserId("alice")
PHONE, PAD = DeviceId("phone"), DeviceId("pad")


class Counted(MemoryDirectory):
    """Counts, and may be held or made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[UserId]] = []
        self.admitted: list[DeviceId] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails: Exception | None = None

    async def users(self, tenant: TenantId, ids: Any) -> list[User]:
        self.asked.append(list(ids))
        found = await super().users(tenant, ids)
        await self.gate.wait()
        if self.fails:
            raise self.fails
        return found

    async def admit(self, tenant: TenantId, user: UserId, device: Device, **more: Any) -> Any:
        self.admitted.append(device.device)
        done = await super().admit(tenant, user, device, **more)
        await self.gate.wait()
        return done


class Rig:
    def __init__(self) -> None:
        self.real, self.bus, self.clock = Counted(), MemoryBus(), ManualClock()
        self.kept = KeptDirectory(self.real, self.bus, self.clock)

    async def admit(self, device: DeviceId, epoch: int, most: int = 1) -> list[DeviceId]:
        login = Device(device=device, cls="phone", epoch=epoch)
        return await self.kept.admit(MAIN, ALICE, login, most=most, now_ms=0)


@pytest.fixture
async def rig() -> Rig:
    rig = Rig()
    await rig.real.put_user(User(tenant=MAIN, user=ALICE, name="Alice"))
    return rig


async def test_AD8_what_is_asked_in_one_turn_is_read_together(rig: Rig) -> None:
    names = [UserId(f"u{n}") for n in range(TOGETHER + 10)]
    for name in names:
        await rig.real.put_user(User(tenant=MAIN, user=name))
    found = await asyncio.gather(*(rig.kept.user(MAIN, name) for name in (*names, *names)))
    assert [account.user for account in found if account] == [*names, *names]
    assert [len(ids) for ids in rig.real.asked] == [TOGETHER, 10]


async def test_AD8_tenants_are_not_mixed(rig: Rig) -> None:
    other = TenantId("other")
    await rig.real.put_user(User(tenant=other, user=ALICE, name="Another"))
    mine, theirs = await asyncio.gather(rig.kept.user(MAIN, ALICE), rig.kept.user(other, ALICE))
    assert mine and theirs and (mine.name, theirs.name) == ("Alice", "Another")


async def test_AD8_a_failure_is_that_of_all_who_wait_and_is_not_kept(rig: Rig) -> None:
    rig.real.fails = StoreDown("no disk")
    asked = [rig.kept.user(MAIN, ALICE) for _ in range(3)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(why) for why in found] == [StoreDown] * 3
    rig.real.fails = None
    assert await rig.kept.user(MAIN, ALICE) is not None


async def test_AD8_one_who_gives_up_does_not_take_the_answer_from_the_others(rig: Rig) -> None:
    rig.real.gate.clear()
    first = asyncio.create_task(rig.kept.user(MAIN, ALICE))
    second = asyncio.create_task(rig.kept.user(MAIN, ALICE))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    rig.real.gate.set()
    account = await second
    assert account is not None and account.name == "Alice"


async def test_AD8_an_account_is_read_again_when_its_time_is_over(rig: Rig) -> None:
    await rig.kept.user(MAIN, ALICE)
    await rig.kept.user(MAIN, ALICE)
    assert len(rig.real.asked) == 1
    rig.clock.advance(KEEP_S)
    await rig.kept.user(MAIN, ALICE)
    assert len(rig.real.asked) == 2


async def test_AD8_who_does_not_exist_is_looked_for_each_time(rig: Rig) -> None:
    nobody = UserId("nobody")
    assert await rig.kept.user(MAIN, nobody) is None
    await rig.real.put_user(User(tenant=MAIN, user=nobody))
    assert await rig.kept.user(MAIN, nobody) is not None


async def test_AD6_a_write_holds_at_once(rig: Rig) -> None:
    account = await rig.kept.user(MAIN, ALICE)
    assert account is not None
    await rig.kept.put_user(replace(account, disabled=True))
    reads = len(rig.real.asked)
    again = await rig.kept.user(MAIN, ALICE)
    assert again is not None and again.disabled
    assert len(rig.real.asked) == reads, "what was written is known"


async def test_AD6_who_asked_before_a_write_in_the_same_turn_is_answered(rig: Rig) -> None:
    async def evict() -> None:
        rig.kept._hint(Evicted(MAIN, ALICE, PHONE, 1, 206))

    async with asyncio.timeout(5):
        one, _, two = await asyncio.gather(
            rig.kept.user(MAIN, ALICE), evict(), rig.kept.user(MAIN, ALICE)
        )
    assert one is not None and two is not None


async def test_AD6_a_read_that_a_write_overtook_is_not_kept(rig: Rig) -> None:
    rig.real.gate.clear()
    early = asyncio.create_task(rig.kept.user(MAIN, ALICE))
    for _ in range(5):
        await asyncio.sleep(0)
    assert rig.real.asked
    await rig.kept.put_user(User(tenant=MAIN, user=ALICE, name="Alice", disabled=True))
    late = asyncio.create_task(rig.kept.user(MAIN, ALICE))
    await asyncio.sleep(0)
    rig.real.gate.set()
    old = await early
    assert old is not None and not old.disabled, "it asked before"
    new = await late
    assert new is not None and new.disabled
    again = await rig.kept.user(MAIN, ALICE)
    assert again is not None and again.disabled


async def test_AD6_a_write_whose_outcome_is_unknown_leaves_nothing_known(rig: Rig) -> None:
    account = await rig.kept.user(MAIN, ALICE)
    assert account is not None
    real = rig.real.put_user

    async def unknown(user: User, **more: Any) -> None:
        await real(user)
        raise StoreDown("who knows")

    rig.real.put_user = unknown  # type: ignore[method-assign]
    with pytest.raises(StoreDown):
        await rig.kept.put_user(replace(account, disabled=True))
    again = await rig.kept.user(MAIN, ALICE)
    assert again is not None and again.disabled


async def test_AD6_of_two_writes_that_cross_none_is_taken_for_the_last(rig: Rig) -> None:
    real, first = rig.real.put_user, asyncio.Event()

    async def slow(user: User, **more: Any) -> None:
        await real(user)
        if user.name == "One":  # written first, answered last
            await first.wait()

    rig.real.put_user = slow  # type: ignore[method-assign]
    one = asyncio.create_task(rig.kept.put_user(User(tenant=MAIN, user=ALICE, name="One")))
    await asyncio.sleep(0)
    await rig.kept.put_user(User(tenant=MAIN, user=ALICE, name="Two", disabled=True))
    first.set()
    await one
    again = await rig.kept.user(MAIN, ALICE)
    assert again is not None and again.disabled


async def test_AD6_what_another_node_did_is_heard_of(rig: Rig) -> None:
    await rig.kept.user(MAIN, ALICE)
    await rig.real.put_user(User(tenant=MAIN, user=ALICE, disabled=True))
    rig.bus.publish(Evicted(MAIN, ALICE, PHONE, 9, 207))
    await asyncio.sleep(0)
    again = await rig.kept.user(MAIN, ALICE)
    assert again is not None and again.disabled


async def test_AD7_a_place_that_is_held_is_not_asked_for_again(rig: Rig) -> None:
    assert await rig.admit(PHONE, 1) == []
    assert await rig.admit(PHONE, 1) == []
    assert rig.real.admitted == [PHONE]
    await rig.admit(PHONE, 2)  # another login
    await rig.admit(PHONE, 2, most=3)  # another setting
    rig.clock.advance(KEEP_S)
    await rig.admit(PHONE, 2, most=3)
    assert rig.real.admitted == [PHONE] * 4


async def test_AD7_who_was_evicted_is_asked_for_again(rig: Rig) -> None:
    await rig.admit(PHONE, 1)
    assert await rig.admit(PAD, 2) == [PHONE]
    with pytest.raises(Kicked):
        await rig.admit(PHONE, 1)
    assert await rig.admit(PAD, 2) == []
    with pytest.raises(Kicked):
        await rig.admit(PHONE, 1)


@pytest.mark.parametrize("how", ["revoke", "forget", "hint"])
async def test_AD7_what_is_remembered_ends_with_it(rig: Rig, how: str) -> None:
    await rig.admit(PHONE, 1)
    if how == "revoke":
        await rig.kept.revoke(MAIN, ALICE, PHONE)
    elif how == "forget":
        await rig.kept.forget_devices(MAIN, ALICE)
    else:
        rig.bus.publish(Evicted(MAIN, ALICE, PHONE, 1, 206))
        await asyncio.sleep(0)
    if how == "revoke":
        with pytest.raises(Kicked):
            await rig.admit(PHONE, 1)
    else:
        await rig.admit(PHONE, 1)
    assert rig.real.admitted == [PHONE, PHONE]


async def test_AD7_of_two_at_the_same_moment_none_is_remembered(rig: Rig) -> None:
    rig.real.gate.clear()
    one = asyncio.create_task(rig.admit(PHONE, 1))
    two = asyncio.create_task(rig.admit(PAD, 2))
    await asyncio.sleep(0)
    rig.real.gate.set()
    assert await asyncio.gather(one, two) == [[], [PHONE]]
    with pytest.raises(Kicked):
        await rig.admit(PHONE, 1)
    await rig.admit(PAD, 2)
    assert rig.real.admitted == [PHONE, PAD, PHONE, PAD]


async def test_AD7_answers_in_another_order_leave_nothing_wrong(rig: Rig) -> None:
    real, first = rig.real.admit, asyncio.Event()

    async def slow(tenant: TenantId, user: UserId, device: Device, **more: Any) -> Any:
        done = await real(tenant, user, device, **more)
        if device.device == PHONE:  # admitted first, answered last
            await first.wait()
        return done

    rig.real.admit = slow  # type: ignore[method-assign]
    one = asyncio.create_task(rig.admit(PHONE, 1))
    await asyncio.sleep(0)
    assert await rig.admit(PAD, 2) == [PHONE]
    first.set()
    await one
    with pytest.raises(Kicked):
        await rig.admit(PHONE, 1)


async def test_AD7_a_hint_that_comes_while_a_device_is_admitted_counts(rig: Rig) -> None:
    rig.real.gate.clear()
    one = asyncio.create_task(rig.admit(PHONE, 1))
    await asyncio.sleep(0)
    rig.bus.publish(Evicted(MAIN, ALICE, PHONE, 1, 206))
    await asyncio.sleep(0)
    rig.real.gate.set()
    await one
    await rig.admit(PHONE, 1)
    assert rig.real.admitted == [PHONE, PHONE]
