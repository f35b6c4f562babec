"""Webhooks, hooks and pulls in dicts."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from msgspec.structs import replace

from hongyan.model.errors import Conflict
from hongyan.model.ids import LogId, TenantId
from hongyan.model.outlets import Dead, Hold, Hook, Progress, Pull, Webhook


class _Kept:
    """A webhook with what came of it."""

    def __init__(self, webhook: Webhook, pos: int) -> None:
        self.webhook, self.pos, self.progress = webhook, pos, Progress()
        self.holds: dict[LogId, Hold] = {}
        self.dead: dict[int, Dead] = {}


class MemoryOutlets:
    """The model of the Outlets port."""

    def __init__(self) -> None:
        """Empty."""
        self._webhooks: dict[str, _Kept] = {}
        self._hooks: dict[str, Hook] = {}
        self._pulls: dict[tuple[str, str], Pull] = {}

    async def webhooks(self, tenant: TenantId | None = None) -> list[Webhook]:
        """See the port."""
        found = [kept.webhook for _, kept in sorted(self._webhooks.items())]
        return [w for w in found if tenant in (None, w.tenant)]

    async def put_webhook(self, webhook: Webhook, *, pos: int | None = None) -> None:
        """See the port."""
        if pos is not None:
            self._webhooks[webhook.id] = _Kept(webhook, pos)
        elif (kept := self._webhooks.get(webhook.id)) is not None:
            kept.webhook = webhook

    async def drop_webhook(self, tenant: TenantId, webhook: str) -> bool:
        """See the port."""
        kept = self._webhooks.get(webhook)
        if kept is None or kept.webhook.tenant != tenant:
            return False
        del self._webhooks[webhook]
        return True

    async def progress(self, webhook: str) -> tuple[int, Progress]:
        """See the port."""
        kept = self._webhooks.get(webhook)
        return (kept.pos, copy(kept.progress)) if kept else (0, Progress())

    async def holds(self, webhook: str) -> list[Hold]:
        """See the port."""
        kept = self._webhooks.get(webhook)
        return [copy(hold) for hold in kept.holds.values()] if kept else []

    async def settle(
        self,
        webhook: str,
        progress: Progress,
        *,
        pos: int | None = None,
        held: Sequence[Hold] = (),
        freed: Sequence[LogId] = (),
        dead: Sequence[Dead] = (),
        sent: Sequence[int] = (),
    ) -> None:
        """See the port."""
        if (kept := self._webhooks.get(webhook)) is None:
            return
        kept.progress = copy(progress)
        kept.pos = max(kept.pos, pos or 0)
        kept.holds.update({hold.log: copy(hold) for hold in held})
        kept.dead.update({letter.pos: letter for letter in dead})
        for log in freed:
            kept.holds.pop(log, None)
        for gone in sent:
            kept.dead.pop(gone, None)

    async def dead(
        self, webhook: str, *, after: int = 0, limit: int = 100, replay: bool = False
    ) -> list[Dead]:
        """See the port."""
        kept = self._webhooks.get(webhook)
        letters = [letter for _, letter in sorted(kept.dead.items())] if kept else []
        return [x for x in letters if x.pos > after and (x.replay or not replay)][:limit]

    async def count_dead(self, webhook: str) -> int:
        """See the port."""
        kept = self._webhooks.get(webhook)
        return len(kept.dead) if kept else 0

    async def ask_again(self, webhook: str, positions: Sequence[int] | None) -> int:
        """See the port."""
        kept = self._webhooks.get(webhook)
        if kept is None:
            return 0
        wanted = [pos for pos in kept.dead if positions is None or pos in positions]
        kept.dead.update({pos: replace(kept.dead[pos], replay=True) for pos in wanted})
        return len(wanted)

    async def hooks(self, tenant: TenantId | None = None) -> list[Hook]:
        """See the port."""
        found = [hook for hook in self._hooks.values() if tenant in (None, hook.tenant)]
        return sorted(found, key=lambda hook: (hook.created_at, hook.id))

    async def put_hook(self, hook: Hook) -> None:
        """See the port."""
        self._hooks[hook.id] = hook

    async def drop_hook(self, tenant: TenantId, hook: str) -> bool:
        """See the port."""
        found = self._hooks.get(hook)
        if found is None or found.tenant != tenant:
            return False
        del self._hooks[hook]
        return True

    async def pulls(self, tenant: TenantId) -> list[Pull]:
        """See the port."""
        return [pull for (t, _), pull in sorted(self._pulls.items()) if t == tenant]

    async def pull(self, tenant: TenantId, name: str) -> Pull | None:
        """See the port."""
        return self._pulls.get((tenant, name))

    async def put_pull(self, pull: Pull) -> None:
        """See the port."""
        if (pull.tenant, pull.name) in self._pulls:
            raise Conflict(f"consumer {pull.name} exists")
        self._pulls[pull.tenant, pull.name] = pull

    async def move_pull(self, tenant: TenantId, name: str, pos: int) -> int:
        """See the port."""
        if (pull := self._pulls.get((tenant, name))) is None:
            return -1
        self._pulls[tenant, name] = pull = replace(pull, pos=max(pull.pos, pos))
        return pull.pos

    async def drop_pull(self, tenant: TenantId, name: str) -> bool:
        """See the port."""
        return self._pulls.pop((tenant, name), None) is not None
