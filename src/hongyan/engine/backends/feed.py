"""One reading of the feed for all webhooks that stand at the same place, as most do."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from hongyan.ports import FeedItem, Store

KEPT = 2  # readings, until the next commit; each has at most as many entries as was asked for

Place = tuple[int, int]  # after, limit


class SharedFeed:
    """The store's feed. A commit wakes every webhook of every tenant: without this each would
    read the same entries once more."""

    def __init__(self, store: Store) -> None:
        """Nothing is read yet."""
        self._store = store
        self._reads: OrderedDict[Place, asyncio.Future[list[FeedItem]]] = OrderedDict()

    def wake(self) -> None:
        """Something was committed: what was read before may lack it. Call it before those who
        read are woken."""
        self._reads.clear()

    async def feed(self, *, after: int, limit: int) -> list[FeedItem]:
        """See Store.feed; sees everything committed before the last `wake`."""
        place = (after, limit)
        read = self._reads.get(place)
        if read is None:
            read = asyncio.ensure_future(self._store.feed(after=after, limit=limit))
            read.add_done_callback(lambda done: self._forget(place, done))
            self._reads[place] = read
            while len(self._reads) > KEPT:
                self._reads.popitem(last=False)
        return await asyncio.shield(read)

    def _forget(self, place: Place, done: asyncio.Future[list[FeedItem]]) -> None:
        """A reading that failed is not kept, nor one that found nothing: a commit whose hint was
        lost has to be found by the next look."""
        useless = done.cancelled() or done.exception() is not None or not done.result()
        if useless and self._reads.get(place) is done:
            del self._reads[place]
