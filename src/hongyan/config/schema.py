"""The settings with their defaults, bounds and reference texts; data only."""

# size: all settings stand on one page, in the order of their reference

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Millis = Annotated[int, Meta(ge=1, le=86_400_000)]
TENANT = r"[a-z0-9][a-z0-9-]{0,31}"
Tenant = Annotated[str, Meta(pattern=rf"^({TENANT}|\*)$")]
Alg = Literal["HS256", "EdDSA", "RS256", "ES256"]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file. Its fields carry their reference text in `Meta(description=…)`."""


def _hidden(section: msgspec.Struct, *names: str) -> str:
    """A repr that can be logged: the values of `names` are left out."""
    shown = ((name, getattr(section, name)) for name in section.__struct_fields__)
    parts = (f"{name}={'…' if name in names and value else repr(value)}" for name, value in shown)
    return f"{type(section).__name__}({', '.join(parts)})"


class Server(Section, frozen=True):
    """Where the server listens and whom it believes."""

    host: Annotated[str, Meta(description="Address to listen on; `0.0.0.0` or `::` for all.")] = (
        "127.0.0.1"
    )
    port: Annotated[
        int, Meta(ge=0, le=65535, description="TCP port; 0 lets the system choose one.")
    ] = 8000
    tls_cert: Annotated[
        str, Meta(description="PEM file with the certificate chain; empty: no TLS.")
    ] = ""
    tls_key: Annotated[str, Meta(description="PEM file with the private key of `tls_cert`.")] = ""
    backlog: Annotated[
        int,
        Meta(
            ge=1,
            le=65535,
            description="Connects that may wait to be accepted; few slow a reconnect storm. On"
            " Linux more than `net.core.somaxconn` take further listening sockets, at most 16.",
        ),
    ] = 32_768
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Web pages (`https://host[:port]`) that browsers may connect from; the"
            " server's own origin is always allowed, `*` allows every page."
        ),
    ] = ()
    metrics_token: Annotated[
        str,
        Meta(description="Bearer token for `/metrics`; empty: only loopback addresses may read."),
    ] = ""
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Addresses or networks whose `X-Forwarded-For` header is believed."),
    ] = ()

    def __post_init__(self) -> None:
        """Check what one field cannot say alone."""
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key are set both or not at all")
        for network in self.trusted_proxies:
            ipaddress.ip_network(network, strict=False)  # its ValueError names the text

    def __repr__(self) -> str:
        """Without the token."""
        return _hidden(self, "metrics_token")


class Data(Section, frozen=True):
    """Where the server keeps everything."""

    dir: Annotated[
        str,
        Meta(min_length=1, description="Data directory, made where absent; used by one server."),
    ] = "./data"


class Rate(Section, frozen=True):
    """A token bucket: `burst` at once, then `rate` a second."""

    rate: Annotated[float, Meta(ge=0, le=1e9, description="Per second; 0 = no limit.")]
    burst: Annotated[float, Meta(ge=1, le=1e9, description="At once, after a pause.")]


class Rates(Section, frozen=True):
    """How fast calls are taken. A call must fit all four; a refusal says when to retry."""

    connection: Annotated[Rate, Meta(description="Of one connection.")] = Rate(rate=50, burst=200)
    user: Annotated[Rate, Meta(description="Of one user, all devices.")] = Rate(rate=100, burst=400)
    log: Annotated[Rate, Meta(description="Into one log, all users.")] = Rate(rate=500, burst=2000)
    ip: Annotated[Rate, Meta(description="From one address.")] = Rate(rate=2000, burst=8000)
    asks: Annotated[
        Rate,
        Meta(description="Reads, syncs, queries, pings and cursors of one user, beside calls."),
    ] = Rate(rate=200, burst=2000)
    login_user: Annotated[Rate, Meta(description="Password attempts for one user.")] = Rate(
        rate=0.1, burst=5
    )
    login_ip: Annotated[Rate, Meta(description="Password attempts from one address.")] = Rate(
        rate=1, burst=20
    )


class Limits(Section, frozen=True):
    """What one connection, user or address may ask of the server."""

    message_bytes: Annotated[
        int,
        Meta(
            ge=4096,
            le=16 * 1024 * 1024,
            description="Largest WebSocket message or HTTP body in bytes; a typed content of"
            " 64 KiB needs 96 KiB or more.",
        ),
    ] = 131_072
    window: Annotated[
        int, Meta(ge=1, le=65535, description="Calls of a connection that wait for an answer.")
    ] = 128
    page: Annotated[int, Meta(ge=1, le=1000, description="Entries in one page of history.")] = 200
    send_queue_bytes: Annotated[
        int,
        Meta(ge=65536, le=1 << 30, description="Bytes that wait for one slow connection."),
    ] = 1_048_576
    send_queue_frames: Annotated[
        int, Meta(ge=16, le=1_000_000, description="Frames that wait for one slow connection.")
    ] = 2048
    heartbeat_ms: Annotated[
        int,
        Meta(ge=1000, le=600_000, description="A client says something this often, or it is dead."),
    ] = 25_000
    handshake_ms: Annotated[
        Millis, Meta(description="Time from connecting to a complete `hello`.")
    ] = 10_000
    connections: Annotated[
        Count, Meta(description="Connections in all; 0 = as many as the system allows.")
    ] = 0
    connections_per_ip: Annotated[
        Count, Meta(description="Connections from one address; 0 = any number.")
    ] = 1000
    connections_per_user: Annotated[
        Count, Meta(description="Connections of one user; 0 = any number.")
    ] = 32
    rates: Annotated[Rates, Meta(description="Token buckets.")] = Rates()


Share = Annotated[float, Meta(gt=0, le=1)]


class Admission(Section, frozen=True):
    """How fast sessions are opened when everybody comes at once."""

    rate: Annotated[
        float, Meta(ge=0, le=1e6, description="Sessions opened a second; 0 = no limit.")
    ] = 4000
    burst: Annotated[
        float, Meta(ge=1, le=1e6, description="Sessions opened at once, after a pause.")
    ] = 1000
    queue: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Clients that wait to be let in.")
    ] = 40_000
    wait_ms: Annotated[
        Millis,
        Meta(description="Longest wait; who would wait longer is told at once when to come back."),
    ] = 8000
    most_retry_ms: Annotated[
        int,
        Meta(
            ge=1000, le=86_400_000, description="Latest moment to come back that a client is told."
        ),
    ] = 60_000


class Load(Section, frozen=True):
    """When the server takes itself for loaded, and does less. Levels: busy, overloaded,
    critical."""

    busy_lag_ms: Annotated[Millis, Meta(description="Loop lag that makes it busy.")] = 400
    overloaded_lag_ms: Annotated[Millis, Meta(description="Loop lag: overloaded.")] = 1000
    critical_lag_ms: Annotated[Millis, Meta(description="Loop lag: critical.")] = 2500
    memory_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 50,
            description="Memory the process may take; 0 = that of its control group or machine.",
        ),
    ] = 0
    busy_memory: Annotated[Share, Meta(description="Share of it that makes it busy.")] = 0.80
    overloaded_memory: Annotated[Share, Meta(description="Share of it: overloaded.")] = 0.88
    critical_memory: Annotated[Share, Meta(description="Share of it: critical.")] = 0.95
    calm_ms: Annotated[
        Millis, Meta(description="It must be calm this long before a level ends.")
    ] = 3000
    queues_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 50,
            description="Bytes that wait for all slow connections together; above, the slowest"
            " are closed. 0 = an eighth of the memory.",
        ),
    ] = 0

    def __post_init__(self) -> None:
        """A level is above the one before."""
        lags = (self.busy_lag_ms, self.overloaded_lag_ms, self.critical_lag_ms)
        memory = (self.busy_memory, self.overloaded_memory, self.critical_memory)
        for name, values in (("lag_ms", lags), ("memory", memory)):
            if not values[0] < values[1] < values[2]:
                raise ValueError(f"busy_{name} < overloaded_{name} < critical_{name} must hold")


class Quota(Section, frozen=True):
    """What one tenant may take of the server; `[tenants.NAME]` says it for one of them."""

    connections: Annotated[Count, Meta(description="Open sessions; 0 = any number.")] = 0
    calls: Annotated[
        float, Meta(ge=0, le=1e9, description="Calls a second of all users; 0 = no limit.")
    ] = 0
    viewers: Annotated[
        Count, Meta(description="Places of viewers in live logs; 0 = any number.")
    ] = 0
    day_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=1 << 50,
            description="Bytes uploaded within 24 hours; 0 = `files.tenant_day_bytes`.",
        ),
    ] = 0


class Presence(Section, frozen=True):
    """Who is online."""

    ttl_ms: Annotated[
        int,
        Meta(
            ge=2000,
            le=3_600_000,
            description="A device that is silent this long is offline; at least twice"
            " `limits.heartbeat_ms`.",
        ),
    ] = 60_000
    grace_ms: Annotated[
        int,
        Meta(ge=0, le=600_000, description="Offline is told only after this: hides reconnects."),
    ] = 3000
    watch: Annotated[
        int, Meta(ge=0, le=100_000, description="Users whose presence one connection may watch.")
    ] = 500


class Accounts(Section, frozen=True):
    """Accounts with passwords, kept by this server."""

    enabled: Annotated[
        bool, Meta(description="Users log in with a password; off: only tokens of `issuers`.")
    ] = True
    registration: Annotated[bool, Meta(description="Anybody may make an account.")] = False
    listed: Annotated[
        bool,
        Meta(
            description="Users find each other by the beginning of id or name; off: only by the"
            " whole id."
        ),
    ] = False
    hash_memory_kib: Annotated[
        int, Meta(ge=8192, le=1_048_576, description="Memory of one argon2id hash, in KiB.")
    ] = 19_456
    hash_rounds: Annotated[int, Meta(ge=1, le=100, description="Passes of one argon2id hash.")] = 2


class Devices(Section, frozen=True):
    """How many devices of a class one user may have logged in; the newest login stays."""

    phone: Annotated[Count, Meta(description="Phones; 0 = any number.")] = 1
    desktop: Annotated[Count, Meta(description="Desktop programs; 0 = any number.")] = 1
    pad: Annotated[Count, Meta(description="Tablets; 0 = any number.")] = 1
    web: Annotated[Count, Meta(description="Browsers; 0 = any number.")] = 5
    thing: Annotated[Count, Meta(description="Things (sensors, screens); 0 = any number.")] = 0
    server: Annotated[Count, Meta(description="Programs of a back end; 0 = any number.")] = 0


class Issuer(Section, frozen=True):
    """A back end whose signed tokens (JWT) are believed. Exactly one source of keys."""

    iss: Annotated[str, Meta(min_length=1, description="The tokens' `iss` claim.")]
    alg: Annotated[Alg, Meta(description="The one signature algorithm of its tokens.")]
    tenant: Annotated[
        Tenant, Meta(description="Tenant of its users; `*`: the token's `tnt` claim says.")
    ] = "main"
    secret: Annotated[str, Meta(description="Shared secret for HS256, 32 bytes or more.")] = ""
    public_key_file: Annotated[str, Meta(description="PEM file with a public key.")] = ""
    jwks_file: Annotated[str, Meta(description="JWKS file; read again when it changes.")] = ""
    jwks_url: Annotated[str, Meta(description="JWKS over https, refreshed in the background.")] = ""
    audience: Annotated[str, Meta(description="Required `aud` claim; empty: not checked.")] = ""
    admin: Annotated[bool, Meta(description="Believe its `adm` claim.")] = False

    def __post_init__(self) -> None:
        """Check that keys and algorithm fit."""
        sources = [self.secret, self.public_key_file, self.jwks_file, self.jwks_url]
        if sum(map(bool, sources)) != 1:
            raise ValueError("set exactly one of secret, public_key_file, jwks_file, jwks_url")
        if (self.alg == "HS256") != bool(self.secret):
            raise ValueError("HS256 goes with secret, the other algorithms with public keys")
        if self.secret and len(self.secret.encode()) < 32:
            raise ValueError("secret is shorter than 32 bytes")
        if self.jwks_url and not re.match(
            r"https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/]", self.jwks_url
        ):
            raise ValueError("jwks_url starts with https:// (http:// only on loopback)")

    def __repr__(self) -> str:
        """Without the secret."""
        return _hidden(self, "secret")


class Tokens(Section, frozen=True):
    """Tokens: this server's own, and those of back ends."""

    ttl_s: Annotated[
        int,
        Meta(ge=60, le=31_536_000, description="How long a token from a login is good, in s."),
    ] = 604_800
    leeway_s: Annotated[
        int, Meta(ge=0, le=300, description="Difference of clocks that is forgiven, in s.")
    ] = 30
    issuers: Annotated[tuple[Issuer, ...], Meta(description="Back ends that sign tokens.")] = ()

    def __post_init__(self) -> None:
        """An issuer is named once."""
        names = [issuer.iss for issuer in self.issuers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"issuer {name!r} is there twice")
            if name == "hongyan":
                raise ValueError("the issuer name 'hongyan' is this server's own")


Bytes = Annotated[int, Meta(ge=0, le=1 << 50)]


class Files(Section, frozen=True):
    """Uploads, and what is served of them."""

    enabled: Annotated[bool, Meta(description="Take uploads and serve files.")] = True
    most_bytes: Annotated[Bytes, Meta(description="Largest file, in bytes.")] = 512 * 1024 * 1024
    picture_bytes: Annotated[
        Bytes, Meta(description="Largest picture that is shown as one, in bytes; larger: refused.")
    ] = 32 * 1024 * 1024
    picture_pixels: Annotated[
        int, Meta(ge=1, le=1_000_000_000, description="Width times height of a picture.")
    ] = 50_000_000
    open_per_user: Annotated[
        int, Meta(ge=1, le=10_000, description="Unfinished uploads of one user.")
    ] = 32
    user_day_uploads: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Uploads one user begins within 24 hours.")
    ] = 5000
    user_day_bytes: Annotated[
        Bytes, Meta(description="Bytes one user uploads within 24 hours; 0 = no limit.")
    ] = 4 * 1024 * 1024 * 1024
    tenant_day_bytes: Annotated[
        Bytes, Meta(description="Bytes a tenant's users upload within 24 hours; 0 = no limit.")
    ] = 0
    free_bytes: Annotated[
        Bytes, Meta(description="Free disk that must be left; below it no upload is taken.")
    ] = 1024 * 1024 * 1024
    refused_types: Annotated[
        tuple[str, ...],
        Meta(description="Types that are not taken, as found in the bytes; `video/*` is allowed."),
    ] = ()
    expire_s: Annotated[
        int,
        Meta(ge=60, le=31_536_000, description="An upload that is silent this long is removed."),
    ] = 86_400
    grace_s: Annotated[
        int,
        Meta(
            ge=60,
            le=31_536_000,
            description="A file that nothing refers to is kept this long after its last upload.",
        ),
    ] = 86_400
    collect_s: Annotated[
        int, Meta(ge=1, le=86_400, description="Time between two looks for such files, in s.")
    ] = 600
    link_s: Annotated[
        int, Meta(ge=10, le=86_400, description="A link is good for half of this to all of it.")
    ] = 3600
    request_s: Annotated[
        int,
        Meta(
            ge=10,
            le=86_400,
            description="Longest time of one request that sends bytes; the client goes on with"
            " another one.",
        ),
    ] = 900


class Logs(Section, frozen=True):
    """How logs are handled."""

    large_above: Annotated[
        int,
        Meta(
            ge=2,
            le=100_000,
            description="A log with more members is large, and stays so: no inbox row per member.",
        ),
    ] = 512
    cache: Annotated[
        int, Meta(ge=16, le=10_000_000, description="Logs whose state is held in memory.")
    ] = 10_000
    archive_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500,
            description="What was said in live logs is kept this long for replays; 0 = for ever.",
        ),
    ] = 90


class Receivers(Section, frozen=True):
    """Receiving over plain HTTP, for networks that cut WebSockets."""

    comment_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=600_000,
            description="A stream that has nothing to say sends a comment this often.",
        ),
    ] = 15_000
    wait_ms: Annotated[
        int, Meta(ge=0, le=600_000, description="Longest that a long-poll may ask to wait.")
    ] = 30_000
    polls: Annotated[
        Count, Meta(description="Sessions by long-polling that are open at once, of all users.")
    ] = 10_000
    ticket_ms: Annotated[
        Millis, Meta(description="How long a ticket for `/v1/events` may be used, once.")
    ] = 30_000


class Audit(Section, frozen=True):
    """The list of what administrators did."""

    keep_days: Annotated[
        int, Meta(ge=0, le=36_500, description="Older lines are dropped; 0 = kept for ever.")
    ] = 365


class Webhooks(Section, frozen=True):
    """Entries posted to a tenant's own back end, and hooks that are asked before a call."""

    allow_private: Annotated[
        bool,
        Meta(
            description="Targets may be `http://` and lie in private networks or on this machine;"
            " off: administrators of tenants can only name public `https://` addresses."
        ),
    ] = False
    per_tenant: Annotated[
        int, Meta(ge=0, le=1000, description="Webhooks a tenant may have; as many hooks, pulls.")
    ] = 16
    timeout_ms: Annotated[
        int, Meta(ge=100, le=120_000, description="For one delivery, with its answer.")
    ] = 10_000
    parallel: Annotated[
        int, Meta(ge=1, le=256, description="Deliveries of one webhook at once, each another log.")
    ] = 8
    tries: Annotated[
        int, Meta(ge=1, le=1000, description="Attempts at one entry, then it is a dead letter.")
    ] = 20
    pause_ms: Annotated[
        Millis,
        Meta(description="Longest pause before the second attempt; doubles with each, at random."),
    ] = 2000
    most_pause_s: Annotated[
        int, Meta(ge=1, le=86_400, description="Longest pause between attempts.")
    ] = 3600
    max_age_s: Annotated[
        int,
        Meta(
            ge=1,
            le=31_536_000,
            description="A log that failed this long gets one attempt per entry.",
        ),
    ] = 259_200
    disable_after_s: Annotated[
        int,
        Meta(
            ge=1,
            le=31_536_000,
            description="A webhook that took nothing for this long is disabled; nothing is lost.",
        ),
    ] = 432_000
    dead_letters: Annotated[
        int,
        Meta(ge=1, le=10_000_000, description="Dead letters after which a webhook is disabled."),
    ] = 10_000


class WordFile(Section, frozen=True):
    """A file with unwanted words."""

    file: Annotated[str, Meta(min_length=1, description="UTF-8, a word per line.")]
    tenant: Annotated[
        str, Meta(description="The tenant whose texts are judged by it; `*`: all tenants.")
    ] = "*"


class Words(Section, frozen=True):
    """Unwanted words. What becomes of a text that holds one is up to the kind of log."""

    files: Annotated[tuple[WordFile, ...], Meta(description="Lists of words.")] = ()
    look_s: Annotated[
        float,
        Meta(ge=0, le=86_400, description="How often is looked for changed files; 0 = never."),
    ] = 2.0


class Telemetry(Section, frozen=True):
    """What the server tells its operator."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least level that is shown.")
    ] = "info"
    format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description="`auto`: console on a terminal, else one JSON object per line."),
    ] = "auto"


class Config(Section, frozen=True):
    """The whole configuration."""

    server: Server = Server()
    data: Data = Data()
    limits: Limits = Limits()
    admission: Admission = Admission()
    load: Load = Load()
    quota: Quota = Quota()
    presence: Presence = Presence()
    accounts: Accounts = Accounts()
    devices: Devices = Devices()
    tokens: Tokens = Tokens()
    logs: Logs = Logs()
    files: Files = Files()
    receivers: Receivers = Receivers()
    webhooks: Webhooks = Webhooks()
    audit: Audit = Audit()
    words: Words = Words()
    telemetry: Telemetry = Telemetry()
    kinds: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="Settings of a kind of log by its name, over the kind's defaults."),
    ] = {}
    tenants: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="The keys of `[quota]` for one tenant by its name, over `[quota]`."),
    ] = {}

    def __post_init__(self) -> None:
        """Check what sections say about each other."""
        if self.presence.ttl_ms < 2 * self.limits.heartbeat_ms:
            raise ValueError("presence.ttl_ms is less than twice limits.heartbeat_ms")
        for tenant in self.tenants:
            if not re.fullmatch(TENANT, tenant):
                raise ValueError(f"tenants.{tenant} is no name of a tenant")
            try:
                self.quota_of(tenant)
            except msgspec.ValidationError as exc:
                raise ValueError(f"tenants.{tenant}: {exc}") from None

    def quota_of(self, tenant: str) -> Quota:
        """What this tenant may take."""
        given = self.tenants.get(tenant)
        if not given:
            return self.quota
        return msgspec.convert({**msgspec.structs.asdict(self.quota), **given}, Quota)
