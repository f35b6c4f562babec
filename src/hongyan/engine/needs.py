"""Brings what a rule needs to know of the world: entries, members, accounts, other logs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hongyan.engine.callers import Caller
from hongyan.engine.logs import LogCache, LogState
from hongyan.model.errors import NoSuchEntry
from hongyan.model.ids import LOG, Seq, TenantId, UserId, check, self_log, tenant_of
from hongyan.model.kind import Needs
from hongyan.model.log import Entry, Member
from hongyan.ports import Directory, Store

Judge = Callable[[TenantId, str], tuple[str, ...]]  # words of a text that are not wanted


class Loader:
    """Loads for one call at a time; keeps nothing."""

    def __init__(
        self, store: Store, directory: Directory, cache: LogCache, judge: Judge | None = None
    ) -> None:
        """Members and own logs come through the cache, the rest from the ports; `judge` finds
        the words of the filter in a text."""
        self._judge = judge
        self._store, self._directory, self._cache = store, directory, cache

    def at_hand(self, state: LogState, needs: Needs) -> dict[str, Any] | None:
        """The same from the cache alone; None when something is not there."""
        if needs.entries or needs.users or needs.sources:
            return None
        if needs.members and state.large:
            return None
        loaded: dict[str, Any] = {}
        if needs.judge and self._judge is not None:
            loaded["words"] = self._judge(tenant_of(state.log), needs.judge)
        if needs.selves:
            selves: dict[UserId, Any] = {}
            tenant = tenant_of(state.log)
            for user in needs.selves:
                own = self._cache.get(self_log(tenant, user))
                if own is None:
                    return None
                if own.version:
                    selves[user] = own.state
            if selves:
                loaded["selves"] = selves
        if needs.members:
            loaded["members"] = {u: state.members[u] for u in needs.members if u in state.members}
        return loaded

    async def load(
        self, caller: Caller, state: LogState, needs: Needs, member: Member | None
    ) -> dict[str, Any]:
        """Fields of Context; what is absent or not visible to the caller stays absent.

        Raises:
            NoSuchEntry: a source in another tenant. NoSuchLog, StoreDown.
        """
        store, tenant, user = self._store, caller.tenant, caller.user
        loaded: dict[str, Any] = {}
        if needs.judge and self._judge is not None:
            loaded["words"] = self._judge(tenant, needs.judge)
        if needs.entries and member is not None and state.version:
            entries: dict[Seq, Entry] = {}
            for seq in needs.entries[:100]:
                page = await store.read(state.log, user, low=seq, high=seq, limit=1)
                entries.update((e.seq, e) for e in page.entries)
            loaded["entries"] = entries
            amends = await store.amended(state.log, list(entries))
            loaded["amended"] = {(e.target, e.slot): e for e in amends}
        if needs.members:
            rows = [await self._cache.member(state, u) for u in needs.members]
            loaded["members"] = {m.user: m for m in rows if m is not None}
        if needs.users:
            found = await self._directory.users(tenant, needs.users)
            loaded["users"] = frozenset(u.user for u in found if not u.disabled)
        if needs.selves:
            owns = [await self._cache.load(self_log(tenant, u)) for u in needs.selves]
            loaded["selves"] = {
                u: own.state for u, own in zip(needs.selves, owns, strict=True) if own.version
            }
        if needs.sources:
            loaded["sources"] = await self._sources(tenant, user, needs)
        return loaded

    async def _sources(self, tenant: TenantId, user: UserId, needs: Needs) -> dict[Any, Entry]:
        for log, _ in needs.sources:
            check(LOG, log, "log")
            if tenant_of(log) != tenant:
                raise NoSuchEntry(f"no log {log}")
        picked = await self._store.pick(tenant, user, needs.sources)
        return {(log, entry.seq): entry for log, entry in picked}
