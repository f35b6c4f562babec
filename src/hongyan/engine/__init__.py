"""What every scenario shares: the path of a call and of an entry. asyncio; no sockets, no SQL."""
