# size: the cases of one subject share their fixtures; parted, each part would repeat them

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Callable, Iterator

import pytest
from auth_rig import ALICE, MAIN, PASSWORD, Access
from msgspec.structs import replace

from hongyan.adapters.memory.directory import MemoryDirectory
from hongyan.engine.accounts import CODE_TTL_S
from hongyan.engine.auth import Identity
from hongyan.engine.passwords import MAX_WAITING, WORKERS, Passwords
from hongyan.model.errors import (
    BadArgs,
    BadId,
    Disabled,
    Forbidden,
    NoSuchUser,
    Overloaded,
    TooFast,
    Unauthenticated,
    WrongPassword,
)
from hongyan.model.ids import TenantId, UserId
from hongyan.ports import User

IP = "192.0.2.1"


@pytest.fixture
def access() -> Iterator[Access]:
    access = Access()
    yield access
    access.auth.close()


async def stored(access: Access, user: str = "alice") -> User:
    account = await access.directory.user(MAIN, UserId(user))
    assert account is not None
    return account


# --- A8, L6, L7: passwords ------------------------------------------------------------------------


async def test_A8_login_gives_a_token_for_the_device(access: Access) -> None:
    await access.user()
    token = await access.auth.login("main", "alice", PASSWORD, device="d1", ip=IP)
    identity = await access.auth.authenticate(token)
    assert (identity.user, identity.device, identity.tenant) == ("alice", "d1", "main")
    assert identity.expires_at == (access.now_s + access.config.tokens.ttl_s) * 1000


async def test_A8_wrong_unknown_and_passwordless_are_answered_alike(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same refusal, and the same work: one hash of the present settings is verified."""
    await access.user()
    await access.user("guest", password="")
    worked: list[str] = []
    real = Passwords._verify

    def noted(self: Passwords, hashed: str, password: str) -> bool:
        worked.append(hashed.rpartition("$")[0].rpartition("$")[0])
        return real(self, hashed, password)

    monkeypatch.setattr(Passwords, "_verify", noted)
    texts = set()
    for user in ("alice", "guest", "nobody"):
        with pytest.raises(WrongPassword) as why:
            await access.auth.login("main", user, "wrong horse", ip=IP)
        texts.add(why.value.text)
    assert len(texts) == 1
    assert worked == ["$argon2id$v=19$m=8192,t=1,p=1"] * 3


async def test_A8_empty_password_never_logs_in(access: Access) -> None:
    await access.user("guest", password="")
    for password in ("", "guest", access.passwords.nobody):
        with pytest.raises(WrongPassword):
            await access.auth.login("main", "guest", password, ip=IP)


async def test_A8_disabled_is_told_only_to_who_knows_the_password(access: Access) -> None:
    await access.user(disabled=True)
    with pytest.raises(WrongPassword):
        await access.auth.login("main", "alice", "wrong horse", ip=IP)
    with pytest.raises(Disabled):
        await access.auth.login("main", "alice", PASSWORD, ip=IP)


async def test_A8_hash_is_renewed_when_the_settings_changed(access: Access) -> None:
    old = Passwords(16384, 2)
    await access.user()
    account = await stored(access)
    await access.directory.put_user(replace(account, password=await old.hash(PASSWORD)))
    token = await access.auth.login("main", "alice", PASSWORD, ip=IP)
    account = await stored(access)
    assert account.password.startswith("$argon2id$v=19$m=8192,t=1,p=1$")
    assert await access.auth.authenticate(token)  # renewing is no new password
    await access.auth.login("main", "alice", PASSWORD, ip=IP)
    assert (await stored(access)).password == account.password
    old.close()


async def test_A8_broken_hash_in_the_store_refuses(access: Access) -> None:
    await access.user()
    await access.directory.put_user(replace(await stored(access), password="not a hash"))
    with pytest.raises(WrongPassword):
        await access.auth.login("main", "alice", PASSWORD, ip=IP)


async def test_A8_accounts_off_means_no_login(access: Access) -> None:
    off = Access(directory=access.directory, **{"accounts.enabled": False})
    await access.user()
    with pytest.raises(Forbidden, match="no accounts"):
        await off.auth.login("main", "alice", PASSWORD, ip=IP)
    assert await off.accounts.first_admin_code() is None
    off.auth.close()


async def test_A8_bad_names_are_refused_before_any_work(access: Access) -> None:
    for tenant, user, device in (("MAIN", "a", ""), ("main", "a b", ""), ("main", "", "")):
        with pytest.raises(BadId):
            await access.auth.login(tenant, user, PASSWORD, device=device, ip=IP)
    await access.user()
    with pytest.raises(BadId):
        await access.auth.login("main", "alice", PASSWORD, device="a/b", ip=IP)


async def test_L6_failed_logins_of_a_user_are_limited(access: Access) -> None:
    """From wherever they come; the right password does not get through either."""
    await access.user()
    for n in range(5):
        with pytest.raises(WrongPassword):
            await access.auth.login("main", "alice", "wrong horse", ip=f"192.0.2.{n}")
    with pytest.raises(TooFast) as why:
        await access.auth.login("main", "alice", PASSWORD, ip="198.51.100.1")
    access.clock.advance(why.value.retry_after_ms / 1000)
    assert await access.auth.login("main", "alice", PASSWORD, ip=IP)


async def test_L6_failed_logins_of_an_address_are_limited(access: Access) -> None:
    await access.user()
    for n in range(20):
        with pytest.raises(WrongPassword):
            await access.auth.login("main", f"u{n}", "wrong horse", ip=f"2001:db8::{n:x}")
    with pytest.raises(TooFast):
        await access.auth.login("main", "alice", PASSWORD, ip="2001:db8::ffff")
    assert await access.auth.login("main", "alice", PASSWORD, ip="2001:db8:0:1::1")


async def test_L6_success_costs_nothing(access: Access) -> None:
    await access.user()
    for _ in range(30):
        await access.auth.login("main", "alice", PASSWORD, ip=IP)


async def test_L6_a_refused_attempt_counts_for_nobody(access: Access) -> None:
    """While alice's limit is reached, her attempts do not eat up the address."""
    await access.user("bob")
    for _ in range(5):
        with pytest.raises(WrongPassword):
            await access.auth.login("main", "alice", "wrong horse", ip=IP)
    for _ in range(100):
        with pytest.raises(TooFast):
            await access.auth.login("main", "alice", "wrong horse", ip=IP)
    assert await access.auth.login("main", "bob", PASSWORD, ip=IP)


async def test_L7_hashing_is_bounded_and_leaves_the_loop_free(
    access: Access, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    gate, lock = threading.Event(), threading.Lock()
    running, most = 0, 0
    request.addfinalizer(gate.set)  # also when the test fails: the threads must end

    def slow(self: Passwords, hashed: str, password: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert gate.wait(10)
        with lock:
            running -= 1
        return True

    monkeypatch.setattr(Passwords, "_verify", slow)
    room = WORKERS + MAX_WAITING
    asked = [asyncio.create_task(access.passwords.verify("x", "y")) for _ in range(room)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as why:
        async with asyncio.timeout(5):
            await access.passwords.verify("x", "y")
    assert why.value.retry_after_ms > 0
    for task in asked[: room // 2]:
        task.cancel()  # who goes away gives no place free: the thread still works
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        async with asyncio.timeout(5):
            await access.passwords.verify("x", "y")
    gate.set()
    async with asyncio.timeout(10):
        done = await asyncio.gather(*asked, return_exceptions=True)
    assert done.count(True) == room - room // 2
    assert most == WORKERS
    async with asyncio.timeout(10):
        while access.passwords._waiting:  # noqa: ASYNC110 (a thread counts down)
            await asyncio.sleep(0.001)
    assert await access.passwords.verify("x", "y") is True


async def test_logins_are_counted(access: Access) -> None:
    await access.user()
    await access.auth.login("main", "alice", PASSWORD, ip=IP)
    for user in ("alice", "nobody"):
        with pytest.raises(WrongPassword):
            await access.auth.login("main", user, "wrong horse", ip=IP)
    assert (access.metrics.logins_total, access.metrics.login_failures_total) == (1, 2)


# --- A9: the first administrator ------------------------------------------------------------------


async def test_A9_code_makes_the_first_administrator_once(access: Access) -> None:
    code = await access.accounts.first_admin_code()
    assert code is not None and len(code) >= 20
    assert await access.directory.list_users(MAIN) == []  # nothing before the code is used
    token = await access.auth.claim_admin(code, PASSWORD, device="d1", ip=IP)
    identity = await access.auth.authenticate(token)
    assert (identity.user, identity.admin, identity.device) == ("admin", True, "d1")
    assert await access.auth.login("main", "admin", PASSWORD, ip=IP)
    with pytest.raises(WrongPassword):
        await access.auth.claim_admin(code, PASSWORD, user="second", ip=IP)
    assert await access.accounts.first_admin_code() is None


async def test_A9_of_two_that_claim_at_once_one_gets_it(access: Access) -> None:
    code = await access.accounts.first_admin_code()
    assert code is not None
    results = await asyncio.gather(
        *(access.auth.claim_admin(code, PASSWORD, user=f"a{n}", ip=IP) for n in range(4)),
        return_exceptions=True,
    )
    assert sorted(isinstance(result, str) for result in results) == [False, False, False, True]
    assert len(await access.directory.list_users(MAIN)) == 1


async def test_A9_code_is_good_for_30_minutes(access: Access) -> None:
    code = await access.accounts.first_admin_code()
    assert code is not None
    access.clock.jump_wall(10**10)  # the wall clock has no say
    access.clock.advance(CODE_TTL_S - 1)
    with pytest.raises(BadArgs):
        await access.auth.claim_admin(code, "short", ip=IP)  # does not use it up
    access.clock.advance(1)
    with pytest.raises(WrongPassword, match="too old"):
        await access.auth.claim_admin(code, PASSWORD, ip=IP)


async def test_A9_codes_cannot_be_guessed_fast(access: Access) -> None:
    code = await access.accounts.first_admin_code()
    assert code is not None
    for n in range(20):
        with pytest.raises(WrongPassword):
            await access.auth.claim_admin(f"guess {n}", PASSWORD, ip=IP)
    with pytest.raises(TooFast):
        await access.auth.claim_admin(code, PASSWORD, ip=IP)


async def test_A9_no_code_while_an_administrator_can_log_in(access: Access) -> None:
    await access.user("boss", admin=True)
    assert await access.accounts.first_admin_code() is None
    await access.directory.put_user(replace(await stored(access, "boss"), disabled=True))
    assert await access.accounts.first_admin_code() is not None


async def test_A9_no_account_has_a_password_from_the_start(access: Access) -> None:
    for password in ("", "admin", "password", "hongyan"):
        with pytest.raises(WrongPassword):
            await access.auth.login("main", "admin", password, ip=IP)
    with pytest.raises(WrongPassword):
        await access.auth.claim_admin("", PASSWORD, ip=IP)


# --- A10, A11: registration -----------------------------------------------------------------------


async def test_A10_registration_is_closed_by_default(access: Access) -> None:
    with pytest.raises(Forbidden, match="closed"):
        await access.accounts.register("main", "alice", PASSWORD, ip=IP)
    nobody = Identity(tenant=MAIN, user=ALICE, epoch=1)
    with pytest.raises(Forbidden):
        await access.accounts.register("main", "bob", PASSWORD, by=nobody, ip=IP)
    assert await access.directory.list_users(MAIN) == []


async def test_A10_open_registration_is_limited_and_takes_no_name_twice() -> None:
    access = Access(**{"accounts.registration": True})
    await access.accounts.register("main", "alice", PASSWORD, name="Alice", ip=IP)
    assert await access.auth.login("main", "alice", PASSWORD, ip=IP)
    with pytest.raises(BadArgs, match="taken"):
        await access.accounts.register("main", "alice", "another horse", ip=IP)
    with pytest.raises(BadId):
        await access.accounts.register("main", "a/b", PASSWORD, ip=IP)
    with pytest.raises(BadArgs, match="characters"):
        await access.accounts.register("main", "carol", "", ip=IP)
    with pytest.raises(Forbidden):
        await access.accounts.register("main", "eve", PASSWORD, admin=True, ip=IP)
    with pytest.raises(TooFast):
        for n in range(30):
            await access.accounts.register("main", f"u{n}", PASSWORD, ip=IP)
    access.auth.close()


async def test_A10_of_two_that_register_at_once_one_gets_the_name() -> None:
    access = Access(**{"accounts.registration": True})
    results = await asyncio.gather(
        *(access.accounts.register("main", "alice", f"{PASSWORD} {n}", ip=IP) for n in range(4)),
        return_exceptions=True,
    )
    made = [n for n, result in enumerate(results) if isinstance(result, User)]
    assert len(made) == 1
    assert await access.auth.login("main", "alice", f"{PASSWORD} {made[0]}", ip=IP)
    access.auth.close()


async def test_A10_administrators_and_keys_make_accounts_in_their_tenant(access: Access) -> None:
    admin = await access.admin()
    account = await access.accounts.register("main", "bob", "", by=admin)
    assert account.password == ""
    await access.accounts.register("main", "second", PASSWORD, admin=True, by=admin)
    with pytest.raises(Forbidden):
        await access.accounts.register("acme", "bob", PASSWORD, by=admin)
    _, text = await access.auth.create_key(MAIN, ("users",))
    key = await access.auth.authenticate(text)
    await access.accounts.register("main", "carol", PASSWORD, by=key)
    with pytest.raises(Forbidden, match="administrator"):
        await access.accounts.register("main", "dave", PASSWORD, admin=True, by=key)
    _, text = await access.auth.create_key(MAIN, ("send",))
    with pytest.raises(Forbidden):
        await access.accounts.register(
            "main", "dave", PASSWORD, by=await access.auth.authenticate(text)
        )


async def test_A10_keys_do_not_change_administrators(access: Access) -> None:
    await access.admin()
    _, text = await access.auth.create_key(MAIN, ("users",))
    key = await access.auth.authenticate(text)
    with pytest.raises(Forbidden, match="administrator"):
        await access.accounts.reset_password(key, "root", "another horse")
    with pytest.raises(Forbidden, match="administrator"):
        await access.accounts.set_disabled(key, "root", True)
    assert await access.auth.login("main", "root", PASSWORD, ip=IP)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 257, "Alice-123456"])
async def test_A11_passwords_that_are_not_taken(access: Access, password: str) -> None:
    await access.user("alice-123456")
    admin = await access.admin()
    with pytest.raises(BadArgs):
        await access.accounts.reset_password(admin, "alice-123456", password)


async def test_A11_shortest_longest_and_odd_passwords(access: Access) -> None:
    await access.user()
    admin = await access.admin()
    for password in ("12345678", "x" * 256, "密码密码密码密码", "\ud800 lone halves", "\0" * 8):
        await access.accounts.reset_password(admin, "alice", password)
        assert await access.auth.login("main", "alice", password, ip=IP)


async def test_A11_composed_letters_are_the_same_password(access: Access) -> None:
    await access.user()
    admin = await access.admin()
    word = "Käsefüße überall"
    await access.accounts.reset_password(admin, "alice", unicodedata.normalize("NFC", word))
    assert await access.auth.login("main", "alice", unicodedata.normalize("NFD", word), ip=IP)


async def test_A11_a_password_too_long_is_not_hashed(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    await access.user()

    def never(*args: object) -> bool:
        raise AssertionError("hashed")

    monkeypatch.setattr(Passwords, "_verify", never)
    with pytest.raises(WrongPassword):
        await access.auth.login("main", "alice", "x" * 10_000_000, ip=IP)


# --- A12, A5: changes -----------------------------------------------------------------------------


async def test_A12_new_password_voids_earlier_tokens(access: Access) -> None:
    """Also those that name no device, also within the same millisecond."""
    await access.user()
    tokens = [
        await access.auth.login("main", "alice", PASSWORD, device=device, ip=IP)
        for device in ("", "mine", "other")
    ]
    for token, device in zip(tokens[1:], ("mine", "other"), strict=True):
        await access.auth.admit(await access.auth.authenticate(token), device, "web")
    mine = await access.auth.authenticate(tokens[1])
    fresh, evicted = await access.auth.change_password(mine, PASSWORD, "another horse", ip=IP)
    for token in tokens:
        with pytest.raises(Unauthenticated, match="password"):
            await access.auth.authenticate(token)
    assert (await access.auth.authenticate(fresh)).device == "mine"
    assert [(hint.device, hint.code) for hint in evicted] == [("other", 201)]
    with pytest.raises(WrongPassword):
        await access.auth.login("main", "alice", PASSWORD, ip=IP)
    assert await access.auth.login("main", "alice", "another horse", ip=IP)


async def test_A12_wrong_old_password_changes_nothing_and_is_limited(access: Access) -> None:
    await access.user()
    token = await access.auth.grant(MAIN, ALICE)
    alice = await access.auth.authenticate(token)
    for _ in range(5):
        with pytest.raises(WrongPassword):
            await access.auth.change_password(alice, "wrong horse", "another horse", ip=IP)
    with pytest.raises(TooFast):
        await access.auth.change_password(alice, PASSWORD, "another horse", ip=IP)
    assert await access.auth.authenticate(token)


async def test_A12_tokens_of_other_issuers_are_not_ours_to_void(access: Access) -> None:
    await access.user()
    token = access.shop()
    await access.accounts.reset_password(await access.admin(), "alice", "another horse")
    assert await access.auth.authenticate(token)


async def test_A12_login_after_the_change_is_good_even_if_the_clock_went_back(
    access: Access,
) -> None:
    await access.user()
    await access.accounts.reset_password(await access.admin(), "alice", "another horse")
    access.clock.jump_wall(-3_600_000)
    token = await access.auth.login("main", "alice", "another horse", ip=IP)
    assert await access.auth.authenticate(token)


async def test_A5_disabling_ends_sessions_and_enabling_lets_in_again(access: Access) -> None:
    await access.user()
    admin = await access.admin()
    token = await access.auth.login("main", "alice", PASSWORD, device="d1", ip=IP)
    identity = await access.auth.authenticate(token)
    await access.auth.admit(identity, "d1", "phone")
    evicted = await access.accounts.set_disabled(admin, "alice", True)
    assert [(hint.device, hint.epoch, hint.code) for hint in evicted] == [
        ("d1", identity.epoch, 207)
    ]
    with pytest.raises(Disabled):
        await access.auth.authenticate(token)
    with pytest.raises(Disabled):
        await access.auth.grant(MAIN, ALICE)
    assert await access.accounts.set_disabled(admin, "alice", False) == []
    assert await access.auth.authenticate(token)
    assert (await stored(access)).password  # nothing else changed


async def test_A5_who_may_disable(access: Access) -> None:
    await access.user()
    admin = await access.admin()
    alice = Identity(tenant=MAIN, user=ALICE, epoch=1)
    with pytest.raises(Forbidden):
        await access.accounts.set_disabled(alice, "root", True)
    with pytest.raises(Forbidden, match="own account"):
        await access.accounts.set_disabled(admin, "root", True)
    with pytest.raises(NoSuchUser):
        await access.accounts.set_disabled(admin, "ghost", True)
    other = Identity(tenant=TenantId("acme"), user=UserId("root"), epoch=1, admin=True)
    with pytest.raises(NoSuchUser):
        await access.accounts.set_disabled(other, "alice", True)


class SlowDirectory(MemoryDirectory):
    """Others get their turn before and after every read and write, as with a real store."""

    async def user(self, tenant: TenantId, user: UserId) -> User | None:
        await asyncio.sleep(0)
        account = await super().user(tenant, user)
        await asyncio.sleep(0)
        return account

    async def put_user(self, user: User, *, create: bool = False) -> None:
        await asyncio.sleep(0)
        await super().put_user(user, create=create)
        await asyncio.sleep(0)


async def test_A5_changes_at_once_do_not_undo_each_other() -> None:
    """The port replaces whole accounts; a new hash must not enable a disabled account."""
    access = Access(directory=SlowDirectory())
    await access.user()
    admin = await access.admin()
    await asyncio.gather(
        access.accounts.reset_password(admin, "alice", "another horse"),
        access.accounts.set_disabled(admin, "alice", True),
        access.accounts.reset_password(admin, "alice", "third horse!"),
    )
    account = await stored(access)
    assert account.disabled
    verified = [
        await access.passwords.verify(account.password, word)
        for word in ("another horse", "third horse!")
    ]
    assert sorted(verified) == [False, True]
    access.auth.close()


async def test_A5_disabling_does_not_bring_an_old_password_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def at_once(self: Passwords, job: Callable[[], object]) -> object:
        return job()

    monkeypatch.setattr(Passwords, "_run", at_once)  # so that the two really meet
    access = Access(directory=SlowDirectory())
    await access.user()
    admin = await access.admin()
    disable, reset = access.accounts.set_disabled, access.accounts.reset_password
    for first in (True, False):
        await disable(admin, "alice", False)
        await reset(admin, "alice", PASSWORD)
        steps = [disable(admin, "alice", True), reset(admin, "alice", "another horse")]
        await asyncio.gather(*(steps if first else steps[::-1]))
        account = await stored(access)
        assert account.disabled
        assert await access.passwords.verify(account.password, "another horse")
    access.auth.close()


async def test_A6_first_tokens_at_once_make_one_account() -> None:
    access = Access(directory=SlowDirectory())
    token = access.shop()
    who = await asyncio.gather(*(access.auth.authenticate(token) for _ in range(10)))
    assert {identity.user for identity in who} == {"alice"}
    assert [account.user for account in await access.directory.list_users(MAIN)] == ["alice"]
    access.auth.close()
