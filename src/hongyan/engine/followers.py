"""Which connections follow which large logs: kept by the hints, read again where one is missing.

A small log is fanned out by its member list. A large one is fanned out by this table, so what the
table says is who gets to read: a hint of a leave that the bus lost must not leave somebody in it.
The roster of a log numbers the changes of its membership; a hint that does not follow on the last
one that was applied is noticed by it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from hongyan.engine.logs import PAGE, LogState
from hongyan.engine.peer import Peer
from hongyan.model.ids import LogId, UserId, UserKey, tenant_of, user_key
from hongyan.model.log import Member
from hongyan.ports import Appended

Page = Callable[[LogId, str], Awaitable[list[Member]]]


class Followers:
    """The followers of all large logs on this node."""

    def __init__(self, users: Mapping[UserKey, list[Peer]], page: Page) -> None:
        """`users` are the hub's open sessions; `page` gives members by id, PAGE at a time."""
        self._users, self._page = users, page
        self._of: dict[LogId, dict[Peer, None]] = {}
        self._rosters: dict[LogId, int] = {}  # of the last change that was applied

    def of(self, log: LogId) -> Iterable[Peer]:
        """Who follows this log."""
        return self._of.get(log, ())

    def attach(self, peer: Peer, log: LogId) -> None:
        """Let a peer follow a log; one that does already is fine."""
        if log not in peer.large:
            self._of.setdefault(log, {})[peer] = None
            peer.large.append(log)

    def attach_all(self, peer: Peer, logs: Iterable[LogId]) -> None:
        """Let a peer follow the logs its user was in when they were read, which was after it
        became reachable: what was joined since is followed already, what was left since is not."""
        for log in logs:
            if log not in peer.departed:
                self.attach(peer, log)
        peer.departed.clear()

    def detach(self, peer: Peer, log: LogId) -> None:
        """The reverse of `attach`; unknown pairs are fine."""
        table = self._of.get(log)
        if table is not None and table.pop(peer, self) is None:
            peer.large.remove(log)
            if not table:
                del self._of[log]

    def forget(self, peer: Peer) -> None:
        """Take a peer out of every log."""
        for log in list(peer.large):
            self.detach(peer, log)

    def grown(self, state: LogState) -> None:
        """A log became large with the commit that `state` has just followed."""
        tenant = tenant_of(state.log)
        for user, member in state.members.items():
            if member.role:
                self._attach_user(user_key(tenant, user), state.log)
        self._rosters[state.log] = state.roster

    def fits(self, hint: Appended) -> bool:
        """Whether the table is exact once `hint` is applied; else `read_again` first."""
        changes = sum(change.join or change.leave for change in hint.members)
        known = self._rosters.get(hint.log)
        if known is None:
            return not changes  # who was here first was attached when the session opened
        return hint.roster - known <= changes

    async def read_again(self, state: LogState) -> None:
        """Make the table what the store says. Hints of this log must wait meanwhile.

        Raises:
            StoreDown: nothing is known; whoever follows now goes on following.
        """
        log, tenant, roster = state.log, tenant_of(state.log), state.roster
        present: set[UserId] = set()
        after = ""
        while True:
            page = await self._page(log, after)
            for member in page:
                present.add(member.user)
                self._attach_user(user_key(tenant, member.user), log)
            if len(page) < PAGE:
                break
            after = page[-1].user
        for peer in list(self.of(log)):
            if peer.identity is None or peer.identity.user not in present:
                self.detach(peer, log)
        self._rosters[log] = roster

    def came(self, hint: Appended) -> None:
        """Apply the joins of a hint; before its entries go out."""
        tenant, stale = tenant_of(hint.log), self._stale(hint)
        for change in hint.members:
            if change.join:
                key = user_key(tenant, change.user)
                for peer in self._users.get(key, ()):
                    peer.departed.discard(hint.log)
                if not stale:
                    self._attach_user(key, hint.log)

    def went(self, hint: Appended) -> None:
        """Apply the leaves of a hint; after its entries went out."""
        tenant, stale = tenant_of(hint.log), self._stale(hint)
        for change in hint.members:
            if not change.leave:
                continue
            for peer in self._users.get(user_key(tenant, change.user), ()):
                if not stale:
                    self.detach(peer, hint.log)
                if peer.session.state == "opening":
                    peer.departed.add(hint.log)
        self._rosters[hint.log] = max(hint.roster, self._rosters.get(hint.log, 0))

    def _stale(self, hint: Appended) -> bool:
        """Whether the table has the changes of this hint, and maybe later ones, already."""
        return hint.roster <= self._rosters.get(hint.log, -1)

    def _attach_user(self, key: UserKey, log: LogId) -> None:
        for peer in self._users.get(key, ()):
            self.attach(peer, log)
