"""Whose address a request comes from: the connection's, or what a trusted proxy says of it.

Anybody can send X-Forwarded-For. It is read from the right, and only while each address that has handed the
request on is named in TRUSTED_PROXIES: what stands further left is the sender's own claim.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

THIS_HOST: tuple[str, ...] = ("127.0.0.0/8", "::1")
"""Trusted where a proxy is said to be there and none is named: it is the one of the shipped set-up."""
_NOWHERE = "127.0.0.1"
"""A local socket of the web server has no address: it is this host."""
_ONE_PLACE = 64
"""So many bits of an IPv6 address are a place's; whoever is there chooses the rest at will."""


def networks(names: Iterable[str]) -> list[Network]:
    """Addresses and networks, read; ImproperlyConfigured with one sentence."""
    found: list[Network] = []
    for name in names:
        try:
            found.append(ipaddress.ip_network(name, strict=False))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"TRUSTED_PROXIES has {name!r}: say an address or a network, such as 10.0.0.5 or 10.0.0.0/24."
            ) from error
    return found


def _read(text: str) -> Address | None:
    """An address with or without a port; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _trusted(address: Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)


def sender(request: HttpRequest) -> Address:
    """Who sent the request, as far as that is known for sure."""
    peer = str(request.META.get("REMOTE_ADDR") or "")
    known = _read(peer) or ipaddress.ip_address(_NOWHERE)
    for claimed in reversed(str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")):
        if not _trusted(known):
            break
        address = _read(claimed)
        if address is None:
            break
        known = address
    return known


def client_address(request: HttpRequest) -> str:
    """The address under which failures are counted: the sender's, of IPv6 the network of his place (/64)."""
    return _place(sender(request))


def counted_address(text: str) -> str | None:
    """The same of an address that somebody has typed; None for what is none."""
    address = _read(text)
    return None if address is None else _place(address)


def _place(address: Address) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _ONE_PLACE), strict=False).network_address)
    return str(address)


def ignored(request: HttpRequest) -> bool:
    """Whether the request says that it was forwarded and nobody trusts whoever says so."""
    known = _read(str(request.META.get("REMOTE_ADDR") or "")) or ipaddress.ip_address(_NOWHERE)
    return "HTTP_X_FORWARDED_FOR" in request.META and not _trusted(known)


_FORWARDED = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via")


def is_this_host(request: HttpRequest) -> bool:
    """Whether a program on this very host asks, and not somebody whom a proxy here lets in.

    Whoever trusts a loopback connection trusts every browser of the host, too: a page whose name has been
    made to lead to 127.0.0.1 can ask, and says its own name as Host. So a name must be one of ALLOWED_HOSTS;
    an address, which is what probes ask by, cannot be made to lead elsewhere.
    """
    if any(name in request.headers for name in _FORWARDED):
        return False
    peer = str(request.META.get("REMOTE_ADDR") or "")
    # a local socket of the web server has no address
    known = _read(peer) if peer else ipaddress.ip_address(_NOWHERE)
    if known is None or not known.is_loopback:
        return False
    domain, _ = split_domain_port(str(request.META.get("HTTP_HOST", "")))
    allowed = [*settings.ALLOWED_HOSTS, "localhost"]
    return not domain or _read(domain) is not None or validate_host(domain, allowed)
