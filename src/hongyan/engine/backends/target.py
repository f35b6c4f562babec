"""Where the server lets itself be sent: addresses of webhooks and hooks.

Tenants' administrators choose the target, and the server connects from inside the operator's
network. Without `webhooks.allow_private` only https to addresses of the public internet is
allowed; the judgement on a name falls when it is looked up for a connection, not before.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from hongyan.model.errors import BadArgs

MOST_URL = 2048
_NAT64 = ip_network("64:ff9b::/96")  # carries an IPv4 address in its last 32 bits
# Not public either; what the standard library thinks of them depends on its version.
_SPECIAL_4 = [ip_network(net) for net in ("192.0.0.0/24", "192.88.99.0/24")]
_SPECIAL_6 = [
    ip_network(net)
    for net in ("64:ff9b:1::/48", "100::/64", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10")
]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where it wraps another one."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = _wrapped(ip)
        if inner is not None:
            ip = inner
    if any(ip in net for net in (_SPECIAL_4 if ip.version == 4 else _SPECIAL_6)):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _wrapped(ip: IPv6Address) -> IPv4Address | None:
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return ip.teredo[1]
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return None


def check_url(text: str, *, allow_private: bool) -> str:
    """The URL, if webhooks may go there as far as its text tells.

    Raises:
        BadArgs: the text says why not.
    """
    if len(text) > MOST_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise BadArgs(f"a URL is ASCII without spaces, at most {MOST_URL} characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as exc:
        raise BadArgs(f"url: {exc}") from None
    schemes = ("https", "http") if allow_private else ("https",)
    if parts.scheme not in schemes:
        raise BadArgs(f"the URL must begin with {' or '.join(f'{s}://' for s in schemes)}")
    if not host or port == 0:
        raise BadArgs("the URL names no host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise BadArgs("the URL must not carry a user, a password or a fragment")
    if not allow_private and not _may_be_public(host):
        raise BadArgs("the URL leads into a private network (webhooks.allow_private is off)")
    return text


def _may_be_public(host: str) -> bool:
    """What the name alone tells; a name that is looked up is judged by its addresses."""
    try:
        return is_public(host)
    except ValueError:
        name = host.rstrip(".").lower()
        # Numbers in other spellings (127.1, 0x7f.1) are addresses to some resolvers.
        last = name.rpartition(".")[2]
        return not (
            last[:1].isdigit() or name == "localhost" or last in ("localhost", "local", "internal")
        )
