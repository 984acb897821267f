"""The one gate for outbound HTTP: where a connection may go is decided when it is made, on every hop.

A name is resolved here, every address it has is held against the list below, and the connection is made to
the very address that was looked at, so that a name that changes its mind in between (DNS rebinding) gains
nothing. A check when an address is saved would prove nothing about the moment it is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpcore2
import httpx2
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# `ipaddress.is_global` says yes to several of these.
# Source: the IANA special-purpose address registries (RFC 6890).
REFUSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24"
        " 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24"
        " 224.0.0.0/4 240.0.0.0/4"
        # Azure gives its machines' metadata on this public-looking address.
        " 168.63.129.16/32"
        # Everything outside 2000::/3: unspecified, loopback, unique local, link-local, site-local, multicast,
        # unassigned.
        " ::/3 4000::/2 8000::/1"
        # Inside it: protocol assignments with Teredo, documentation, 6to4 (tunnels end who knows where).
        " 2001::/23 2001:db8::/32 2002::/16 3fff::/20"
    ).split()
)
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
SCHEMES = ("http", "https")
# Connections in one pool.
LANE = 8
ADVICE = "an operator can permit it by adding its host:port to RATCHET_OUTBOUND_ALLOW"


@dataclass(frozen=True)
class Limits:
    """What exchanges may cost.

    Attributes:
        connect_s: seconds to find and reach a host.
        read_s: seconds between two parts of an answer.
        total_s: seconds for all of one exchange, redirects included.
        n_bytes: of one answer, compressed and decompressed.
        width: connections at once.
    """

    connect_s: float = 5.0
    read_s: float = 60.0
    total_s: float = 120.0
    n_bytes: int = 4 * 1024 * 1024
    width: int = 200


DEFAULT_LIMITS = Limits()


class OutboundError(Exception):
    """An exchange that the gate ended. The message names neither an address nor anything of the answer."""


class OutboundRefused(OutboundError):
    """No connection was made: this is not a place that may be spoken to."""


class ResponseTooLarge(OutboundError):
    """The answer was cut off at the limit of bytes."""


class TotalTimeout(OutboundError):
    """The exchange took longer than it may in all, however busily it went on."""


def client(limits: Limits = DEFAULT_LIMITS) -> httpx2.AsyncClient:
    """An HTTP client whose every connection goes through the gate.

    It follows no redirect unless asked (each hop is then checked as well), takes no proxy from the
    environment and keeps no cookies. Use one per event loop and close it.

    Requests raise, beside httpx2's own errors:
        OutboundRefused: the address is not public and not in `settings.OUTBOUND_ALLOW`, or is no plain
            http(s) URL.
        ResponseTooLarge: the answer has more than `limits.n_bytes` bytes, compressed or not.
        TotalTimeout: the exchange took longer than `limits.total_s`.
    """
    return httpx2.AsyncClient(
        transport=_GatedTransport(limits),
        timeout=httpx2.Timeout(limits.read_s, connect=limits.connect_s, pool=limits.total_s),
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def is_permitted(host: str, port: int, address: str) -> bool:
    """Whether a connection to this address, reached by asking for host:port, may be made."""
    plain = _unwrapped(ipaddress.ip_address(address))
    if not any(plain in network for network in REFUSED):
        return True
    return _allowed(tuple(settings.OUTBOUND_ALLOW)).permits(host, port, plain)


def _unwrapped(address: Address) -> Address:
    """The address that a packet would reach: IPv4 inside IPv6 is judged as the IPv4 it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


# --- what the operator permits ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Allowed:
    """The entries of `OUTBOUND_ALLOW`: networks (any port), and hosts with their port."""

    networks: tuple[Network, ...]
    places: frozenset[tuple[str, int]]

    def permits(self, host: str, port: int, address: Address) -> bool:
        return (
            (_folded(host), port) in self.places
            or (str(address), port) in self.places
            or any(address in network for network in self.networks)
        )


@lru_cache(maxsize=8)
def _allowed(entries: tuple[str, ...]) -> _Allowed:
    networks: list[Network] = []
    places: set[tuple[str, int]] = set()
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError:
            places.add(_place(entry))
    return _Allowed(tuple(networks), frozenset(places))


def _place(entry: str) -> tuple[str, int]:
    host, _, port = entry.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ImproperlyConfigured(
            f"RATCHET_OUTBOUND_ALLOW: {entry!r} is neither host:port nor a network; write 127.0.0.1:8080,"
            " [::1]:8080, models.internal:443 or 10.0.0.0/8"
        )
    return _folded(host.strip("[]")), int(port)


def _folded(host: str) -> str:
    return host.lower().rstrip(".")


# --- where a connection is made -----------------------------------------------------------------------------


class _Gate(httpcore2.AsyncNetworkBackend):
    """Makes TCP connections, after looking at where they lead."""

    def __init__(self) -> None:
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await _resolve(host, port)
                # One forbidden address condemns the name: their order is the resolver's whim.
                if not all(is_permitted(host, port, address) for address in addresses):
                    raise OutboundRefused(f"This host is not a public one, so no connection was made; {ADVICE}.")
                return await self._first(addresses, port, local_address, socket_options)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("no connection in time") from error

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        raise OutboundRefused("Outbound connections go to public hosts, never to a local socket.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _first(
        self,
        addresses: Sequence[str],
        port: int,
        local_address: str | None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to the first address that takes one."""
        failure: httpcore2.ConnectError | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, local_address=local_address, socket_options=socket_options
                )
            except httpcore2.ConnectError as error:
                failure = error
        raise httpcore2.ConnectError("no address of this host takes connections") from failure


async def _resolve(host: str, port: int) -> list[str]:
    """The addresses of a host in the resolver's order, at least one."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise httpcore2.ConnectError("the name of this host is not known") from error
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


# --- what an exchange may cost ------------------------------------------------------------------------------


class _GatedTransport(httpx2.AsyncBaseTransport):
    """Connects through the gate, and holds every exchange to its limits.

    Its connections are spread over lanes of a few: a pool looks at all of its connections for every request,
    which at a hundred of them would cost more than the request.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        sizes = [LANE] * (limits.width // LANE) + [limits.width % LANE] * bool(limits.width % LANE)
        self._lanes = [_Lane(size) for size in sizes]
        # One entry per connection; the last that was freed is the next to be used, so warm ones stay warm.
        self._free = [lane for lane, size in zip(self._lanes, sizes, strict=True) for _ in range(size)]
        self._waiting = asyncio.Semaphore(limits.width)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        _check_form(request.url)
        now = asyncio.get_running_loop().time()
        # A redirected request takes its extensions along, and so the deadline of the first.
        deadline: float = request.extensions.setdefault("deadline", now + self._limits.total_s)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._exchanged(request, deadline)
        except TimeoutError as error:
            raise _too_slow() from error

    async def aclose(self) -> None:
        for lane in self._lanes:
            await lane.aclose()

    async def _exchanged(self, request: httpx2.Request, deadline: float) -> httpx2.Response:
        await self._waiting.acquire()
        lane = self._free.pop()
        try:
            answer = await lane.handle_async_request(request)
        except BaseException:
            self._set_free(lane)
            raise
        n_bytes = self._limits.n_bytes
        return _LimitedResponse(answer, deadline=deadline, n_bytes=n_bytes, closed=lambda: self._set_free(lane))

    def _set_free(self, lane: _Lane) -> None:
        self._free.append(lane)
        self._waiting.release()


class _Lane(httpx2.AsyncHTTPTransport):
    """httpx2's transport on a small pool that connects through the gate."""

    def __init__(self, width: int) -> None:
        # Not the parent's: it makes the pool itself and has no place for a network backend.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_ssl_context(),
            max_connections=width,
            max_keepalive_connections=width,
            keepalive_expiry=30.0,
            network_backend=_Gate(),
        )


def _check_form(url: httpx2.URL) -> None:
    if url.scheme not in SCHEMES:
        raise OutboundRefused(f"{url.scheme[:20]!r} is no scheme that is spoken here: use http or https.")
    if url.port is not None and not 0 < url.port < 65536:
        raise OutboundRefused(f"There is no port {url.port}: use one from 1 to 65535.")
    if url.userinfo:
        raise OutboundRefused("A name or password inside an address is not taken: put the secret where secrets go.")


class _LimitedResponse(httpx2.Response):
    """An answer that ends with an error where it grows too large or too old."""

    def __init__(self, answer: httpx2.Response, *, deadline: float, n_bytes: int, closed: Callable[[], None]) -> None:
        assert isinstance(answer.stream, httpx2.AsyncByteStream)  # noqa: S101  # of an async transport
        super().__init__(
            status_code=answer.status_code,
            headers=answer.headers,
            stream=_LimitedStream(answer.stream, deadline, n_bytes, closed),
            extensions=answer.extensions,
        )
        self._n_bytes = n_bytes

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        """The decompressed parts, counted; a bomb is cut off a megabyte after the limit at the latest."""
        n_bytes = 0
        async with contextlib.aclosing(super().aiter_bytes(chunk_size)) as parts:
            async for part in parts:
                n_bytes += len(part)
                if n_bytes > self._n_bytes:
                    raise _too_large(self._n_bytes)
                yield part


@dataclass
class _LimitedStream(httpx2.AsyncByteStream):
    """The parts of an answer as they come over the network, counted and timed."""

    stream: httpx2.AsyncByteStream
    deadline: float
    n_bytes: int
    closed: Callable[[], None]
    is_closed: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = aiter(self.stream)
        n_bytes = 0
        while True:
            try:
                async with asyncio.timeout_at(self.deadline):
                    part = await anext(parts)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise _too_slow() from error
            n_bytes += len(part)
            if n_bytes > self.n_bytes:
                raise _too_large(self.n_bytes)
            yield part

    async def aclose(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        try:
            await self.stream.aclose()
        finally:
            self.closed()


def _too_large(n_bytes: int) -> ResponseTooLarge:
    return ResponseTooLarge(f"The answer has more than {n_bytes} bytes and was cut off.")


def _too_slow() -> TotalTimeout:
    return TotalTimeout("The exchange took longer than it may in all and was ended.")


@cache
def _ssl_context() -> ssl.SSLContext:
    """Made once per process: reading the certificates costs tens of milliseconds."""
    return httpx2.create_ssl_context()
