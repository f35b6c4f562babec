"""One TCP port for everything. `reception` says what becomes of a connection."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_network
from pathlib import Path

import structlog

from hongyan.config import Limits, Server
from hongyan.transport import messages as ws
from hongyan.transport.httpserver import HttpServer
from hongyan.transport.reception import Doors, Reception, Sniffer
from hongyan.transport.tls import Tls
from hongyan.transport.websocket import Endpoint

log = structlog.get_logger(__name__)

SPARE_FDS = 128  # for the store, logs, name look-ups and requests to others
TLS_LOOK_S = 5.0
UNSENT = 64 * 1024  # bytes of a connection that wait in the kernel, which else takes megabytes
_MOST_FDS = 1 << 20  # a hard limit of a thousand million would only slow others down
_MOST_LISTENERS = 16  # of one address
_SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


class CannotListen(Exception):
    """The address cannot be had; the text is one line for the operator."""


class Front:
    """The listening sockets and every connection that came through them.

    `start` then `stop`, once each. `drain(seconds)` is called when accepting has ended and
    connections still live: it says goodbye to them.
    """

    def __init__(
        self,
        server: Server,
        limits: Limits,
        *,
        endpoint: Endpoint,
        http: Callable[..., object],
        drain: Callable[[float], Awaitable[None]] | None = None,
        sockets: list[socket.socket] | None = None,
    ) -> None:
        """`endpoint` takes WebSockets, `http` is the ASGI application for the rest; `sockets` are
        those of `bind`, where it was called before.

        Raises:
            BadCertificate: from tls_cert and tls_key.
        """
        self._server = server
        self._given = sockets
        self._drain = drain
        self._tls = Tls(Path(server.tls_cert), Path(server.tls_key)) if server.tls_cert else None
        self.fd_limit = raise_fd_limit()
        seconds = limits.handshake_ms / 1000
        doors = Doors(
            handshake_s=seconds,
            connections=limits.connections or max(self.fd_limit - SPARE_FDS, 16),
            per_ip=limits.connections_per_ip,
            origins=server.allowed_origins,
            proxies=tuple(ip_network(text, strict=False) for text in server.trusted_proxies),
        )
        self._http = HttpServer(http, head_s=seconds)
        self._desk = Reception(
            doors, endpoint, lambda slot: self._http.protocol(slot, self._desk.upgrade)
        )
        self._handshake_s = seconds
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._watch: asyncio.Task[None] | None = None
        self._hup = False
        self._port = server.port

    @property
    def port(self) -> int:
        """The port listened on, also where the setting is 0."""
        return self._port

    async def start(self) -> None:
        """Listen; return when connections are taken.

        Raises:
            CannotListen: the address is taken, not ours or not allowed.
        """
        self._sockets = self._given or await bind(self._server)
        loop = asyncio.get_running_loop()
        try:
            for sock in self._sockets:
                self._servers.append(await self._serve(loop, sock))
                for other in more_listeners(sock, self._server.backlog):
                    self._servers.append(await self._serve(loop, other))
        except OSError as exc:  # two servers that bind at once: the second may not listen
            for server in self._servers:
                server.close()
            for sock in self._sockets:
                sock.close()
            raise CannotListen(_why(self._server.host, self._server.port, exc)) from None
        self._port = int(self._sockets[0].getsockname()[1])
        self._http.start()
        if self._tls is not None:
            self._watch = loop.create_task(self._tls.watch(TLS_LOOK_S))
            if threading.current_thread() is threading.main_thread():
                loop.add_signal_handler(signal.SIGHUP, self._tls.reload_or_log)
                self._hup = True

    async def stop(self, seconds: float = 10.0) -> None:
        """Take no more connections, drain, close what is left.

        `seconds` bounds the drain, and then again the closing.
        """
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        if self._hup:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        for server in self._servers:
            server.close()
        for waiting in list(self._desk.waiting):
            waiting.drop()
        if self._drain is not None:
            try:
                await self._drain(seconds)
            except Exception:  # what is left must be closed all the same
                log.exception("drain failed")
        for connection in list(self._desk.connections):
            connection.close(ws.AWAY, "the server stops")
        self._http.finish()
        if not await self._desk.empty_within(seconds):
            for connection in list(self._desk.connections):
                connection.abort()
            self._http.cut()
            await self._desk.empty_within(1.0)
        for server in self._servers:  # waits for connections too, also those in a TLS handshake
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), 1.0)

    def reload_tls(self) -> None:
        """Read certificate and key again, for new connections.

        Raises:
            BadCertificate: the old ones stay in use.
        """
        if self._tls is not None:
            self._tls.reload()

    def stats(self) -> Mapping[str, float]:
        """Gauges and counters since the start, for metrics."""
        desk = self._desk
        return {
            "open": desk.open,
            "open_websockets": len(desk.connections),
            "open_waiting": len(desk.waiting),
            "fd_limit": self.fd_limit,
            **desk.counts,
        }

    async def _serve(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> asyncio.Server:
        """Accept on a bound socket."""
        desk = self._desk
        if self._tls is None:
            return await loop.create_server(
                lambda: Sniffer(desk), sock=sock, backlog=self._server.backlog
            )
        return await loop.create_server(
            lambda: Sniffer(desk),
            sock=sock,
            backlog=self._server.backlog,
            ssl=self._tls.context,
            ssl_handshake_timeout=self._handshake_s,
            ssl_shutdown_timeout=5.0,
        )


async def bind(server: Server) -> list[socket.socket]:
    """A bound socket per address of the host, not listening yet; whoever calls closes them.

    A server binds before it opens its data, so that a taken port leaves all as it was.

    Raises:
        CannotListen: the address is taken, not ours or not allowed.
    """
    host, port = server.host, server.port
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as exc:
        raise CannotListen(f"cannot listen on {host}: {exc.strerror}") from None
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            sockets.append(_listening(family, address))
    except OSError as exc:
        for sock in sockets:
            sock.close()
        raise CannotListen(_why(host, port, exc)) from None
    return sockets


def _listening(family: int, address: object, *, shared: bool = False) -> socket.socket:
    """A bound socket. Linux gives what is set here to every accepted connection, which saves
    system calls per connection. `shared`: others on the address are shared too."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", 60),
            ("TCP_KEEPINTVL", 15),
            ("TCP_KEEPCNT", 4),
            # A reader who stalls would cost up to tcp_wmem, and its queue here would stay empty.
            ("TCP_NOTSENT_LOWAT", UNSENT),
        ):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        sock.bind(address)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise
    return sock


def more_listeners(sock: socket.socket, backlog: int) -> list[socket.socket]:
    """Further sockets on the address of one that listens, so that all their queues together take
    `backlog` connects; not listening yet.

    The kernel cuts each queue to somaxconn, throws away the connects above it, and those come
    again only after 1, 3, 7 … seconds: a server that has time by then waits for them too. The
    first socket listens before it is shared, so a second server still finds the port taken.
    """
    try:
        one = int(_SOMAXCONN.read_text())
    except (OSError, ValueError):  # not Linux: there sharing would not spread the connects
        return []
    count = min(-(-backlog // max(one, 1)), _MOST_LISTENERS) - 1
    if count < 1 or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return []
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return [_listening(sock.family, sock.getsockname(), shared=True) for _ in range(count)]


def _why(host: str, port: int, exc: OSError) -> str:
    """One line for the operator."""
    where = f"{host or '*'}:{port}"
    if exc.errno == errno.EADDRINUSE:
        return f"{where} is taken: another program listens there; stop it or choose another --port"
    if exc.errno == errno.EACCES:
        return f"{where} is not allowed: ports below 1024 need a right; choose another --port"
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"{where} cannot be had: this machine does not have the address"
    return f"cannot listen on {where}: {exc.strerror}"


def raise_fd_limit() -> int:
    """Raise the soft limit of open files to the hard one; return what holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FDS if hard == resource.RLIM_INFINITY else min(hard, _MOST_FDS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError) as exc:
            log.warning("the limit of open files stays", limit=soft, error=str(exc))
    return _MOST_FDS if soft == resource.RLIM_INFINITY else soft
