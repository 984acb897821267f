"""Connections go to permitted addresses alone, decided when made; no exchange outgrows its limits."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from core import outbound
from tests.connections.endpoint_server import EndpointServer

QUICK = outbound.Limits(connect_s=2, read_s=5, total_s=5, n_bytes=1_000_000, width=4)


@pytest.fixture
def server() -> Iterator[EndpointServer]:
    with EndpointServer() as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_allowed(settings: Settings) -> None:
    settings.OUTBOUND_ALLOW = []


def get(url: str, limits: outbound.Limits = QUICK, **options: Any) -> httpx2.Response:
    async def work() -> httpx2.Response:
        async with outbound.client(limits) as client:
            return await client.get(url, **options)

    return asyncio.run(work())


INTERNAL_IPV4 = """
    127.0.0.1 127.0.0.2 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.254
    100.100.100.200 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.168.0.1 192.0.0.8 192.0.0.192
    192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1
    255.255.255.255 168.63.129.16
""".split()
INTERNAL_IPV6 = """
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
    ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1::1 2001:0:7f00:1::
    2001:db8::1 3fff::1 100::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 4000::1 8000::1
""".split()
PUBLIC = """
    1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 198.20.0.1 223.255.255.255
    2606:4700:4700::1111 2a00:1450:4001::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8
""".split()


@pytest.mark.parametrize("address", INTERNAL_IPV4 + INTERNAL_IPV6)
def test_forbids_every_address_that_is_not_public(address: str) -> None:
    assert not outbound.is_permitted("models.example.org", 443, address)


@pytest.mark.parametrize("address", PUBLIC)
def test_permits_public_addresses(address: str) -> None:
    assert outbound.is_permitted("models.example.org", 443, address)


class TestAllowList:
    def test_names_a_host_with_its_port_alone(self, settings: Settings) -> None:
        settings.OUTBOUND_ALLOW = ["Models.Internal.:8080"]
        assert outbound.is_permitted("models.internal", 8080, "10.1.2.3")
        assert outbound.is_permitted("MODELS.internal.", 8080, "10.1.2.3")
        assert not outbound.is_permitted("models.internal", 8081, "10.1.2.3")
        assert not outbound.is_permitted("other.internal", 8080, "10.1.2.3")

    def test_names_an_address_however_it_was_spelt(self, settings: Settings) -> None:
        settings.OUTBOUND_ALLOW = ["127.0.0.1:8080", "[::1]:8080"]
        assert outbound.is_permitted("localhost", 8080, "127.0.0.1")
        assert outbound.is_permitted("localhost", 8080, "::1")
        assert outbound.is_permitted("x", 8080, "::ffff:127.0.0.1")
        assert not outbound.is_permitted("localhost", 8080, "127.0.0.2")

    def test_names_a_network_with_every_port(self, settings: Settings) -> None:
        settings.OUTBOUND_ALLOW = ["10.2.0.0/16", "fd00::/8", "192.168.7.7"]
        assert outbound.is_permitted("a", 1, "10.2.3.4")
        assert outbound.is_permitted("a", 1, "fd00::5")
        assert outbound.is_permitted("a", 1, "192.168.7.7")
        assert not outbound.is_permitted("a", 1, "10.3.3.4")
        assert not outbound.is_permitted("a", 1, "2002:a02:304::")

    @pytest.mark.parametrize("entry", ["models.internal", "host:", "host:99999", ":80", "10.0.0.1/8", "host:port"])
    def test_says_what_an_entry_must_look_like(self, settings: Settings, entry: str) -> None:
        settings.OUTBOUND_ALLOW = [entry]
        with pytest.raises(ImproperlyConfigured, match="neither host:port nor a network"):
            outbound.is_permitted("a", 1, "10.2.3.4")


# One machine, itself, in the spellings that resolvers and URL parsers are known to take.
SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "0177.0x0.0.1",
    "127.0.0.1.",
    "127.000.000.001",
    "0",
    "0.0.0.0",
    "0x0",
    "00",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "ip6-localhost",
    "localhost.localdomain",
    "%31%32%37.0.0.1",
    "127。0。0。1",
    "１２７.0.0.1",
    "①②⑦.⓪.⓪.①",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1%25lo]",
    "[::1%25lo]",
    "127.0.0.1%00.example.org",
    "user@127.0.0.1",
    "user:password@127.0.0.1",
    "example.org@127.0.0.1",
    "example.org%40127.0.0.1",
    "127.0.0.1#@example.org",
    "127.0.0.1\\@example.org",
    " 127.0.0.1",
]


class Listener:
    """Counts connections to every local address at one port, by IPv4 and IPv6."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def n_arrived(self) -> int:
        n = 0
        while True:
            try:
                self.socket.accept()[0].close()
            except BlockingIOError:
                return n
            n += 1


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.socket.close()


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_makes_no_connection_to_this_machine_however_it_is_spelt(
    listener: Listener, spelling: str, scheme: str
) -> None:
    with pytest.raises((outbound.OutboundRefused, httpx2.ConnectError, httpx2.InvalidURL)) as caught:
        get(f"{scheme}://{spelling}:{listener.port}/" if "#" not in spelling else f"{scheme}://{spelling}/")
    assert listener.n_arrived() == 0
    assert "127.0.0.1" not in str(caught.value)
    assert "::1" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://127.0.0.1:70/", "ftp://127.0.0.1/", "ws://1.1.1.1/"])
def test_speaks_http_alone(url: str) -> None:
    with pytest.raises((outbound.OutboundRefused, httpx2.UnsupportedProtocol)):
        get(url)


@pytest.mark.parametrize("port", [0, 65536, 99999])
def test_knows_no_port_outside_the_range(port: int) -> None:
    with pytest.raises(outbound.OutboundRefused, match="port"):
        get(f"http://1.1.1.1:{port}/")


def test_the_listener_would_notice_a_connection(listener: Listener, settings: Settings) -> None:
    settings.OUTBOUND_ALLOW = ["127.0.0.0/8"]
    with pytest.raises(httpx2.TimeoutException):
        get(f"http://127.0.0.1:{listener.port}/", outbound.Limits(read_s=0.2))
    assert listener.n_arrived() == 1


def test_says_what_an_operator_can_do(server: EndpointServer) -> None:
    with pytest.raises(outbound.OutboundRefused, match="RATCHET_OUTBOUND_ALLOW"):
        get(server.url("ok"))
    assert server.n_connections == 0


def test_reads_the_allow_list_for_each_connection(server: EndpointServer, settings: Settings) -> None:
    async def work() -> None:
        async with outbound.client(QUICK) as client:
            with pytest.raises(outbound.OutboundRefused):
                await client.get(server.url("ok"))
            settings.OUTBOUND_ALLOW = [server.place]
            assert (await client.get(server.url("ok"))).status_code == 200

    asyncio.run(work())


def test_connects_to_the_very_address_it_looked_at(
    server: EndpointServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name whose answer changes between the look and the connection gains nothing: it is asked once."""
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def rebinding(host: Any, *rest: Any, **options: Any) -> Any:
        if host == "rebinding.example":
            asked.append(host)
            host = "127.0.0.1" if len(asked) == 1 else "127.0.0.66"
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{server.port}"]
    assert get(f"http://rebinding.example:{server.port}/ok").status_code == 200
    assert asked == ["rebinding.example"]


def test_one_forbidden_address_condemns_a_name(server: EndpointServer, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, server.port)) for ip in ("127.0.0.1", "8.8.8.8")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *rest, **options: both)
    with pytest.raises(outbound.OutboundRefused):
        get(f"http://two-faced.example:{server.port}/ok")
    assert server.n_connections == 0


def test_follows_no_redirect(server: EndpointServer, settings: Settings) -> None:
    settings.OUTBOUND_ALLOW = [server.place]
    assert get(server.url("redirect")).status_code == 307


def test_checks_each_hop_of_a_redirect_that_is_followed(server: EndpointServer, settings: Settings) -> None:
    settings.OUTBOUND_ALLOW = [server.place]
    with pytest.raises(outbound.OutboundRefused):
        get(server.url("redirect"), follow_redirects=True)


def test_takes_no_proxy_from_the_environment(
    server: EndpointServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    settings.OUTBOUND_ALLOW = [server.place]
    assert get(server.url("ok")).status_code == 200


def test_refuses_a_password_inside_an_address(server: EndpointServer, settings: Settings) -> None:
    settings.OUTBOUND_ALLOW = [server.place]
    with pytest.raises(outbound.OutboundRefused, match="name or password"):
        get(f"http://me:canary@{server.place}/ok")
    assert server.n_connections == 0


class TestLimits:
    @pytest.fixture(autouse=True)
    def allowed(self, server: EndpointServer, settings: Settings) -> None:
        settings.OUTBOUND_ALLOW = [server.place]

    @pytest.mark.parametrize("mode", ["huge", "endless"])
    def test_cuts_an_answer_that_is_too_large(self, server: EndpointServer, mode: str) -> None:
        with pytest.raises(outbound.ResponseTooLarge, match="1000000 bytes"):
            get(server.url(mode))

    def test_cuts_a_bomb_where_it_outgrows_the_limit_unpacked(self, server: EndpointServer) -> None:
        started = time.process_time()
        with pytest.raises(outbound.ResponseTooLarge):
            get(server.url("bomb"))
        assert time.process_time() - started < 1

    def test_unpacks_what_fits(self, server: EndpointServer) -> None:
        assert get(server.url("ok-gzip")).json()["usage"]["prompt_tokens"] == 12

    def test_ends_an_exchange_that_is_silent(self, server: EndpointServer) -> None:
        with pytest.raises(httpx2.ReadTimeout):
            get(server.url("slow"), outbound.Limits(read_s=0.2))

    @pytest.mark.parametrize("mode", ["slow", "trickle"])
    def test_ends_an_exchange_that_takes_too_long_in_all(self, server: EndpointServer, mode: str) -> None:
        started = time.monotonic()
        with pytest.raises(outbound.TotalTimeout):
            get(server.url(mode), outbound.Limits(read_s=30, total_s=0.3))
        assert time.monotonic() - started < 10

    def test_ends_an_answer_that_takes_too_long_while_it_is_streamed(self, server: EndpointServer) -> None:
        async def work() -> None:
            limits = outbound.Limits(read_s=30, total_s=0.3, n_bytes=100_000_000)
            async with (
                outbound.client(limits) as client,
                client.stream("GET", server.url("trickle")) as answer,
            ):
                async for _ in answer.aiter_bytes():
                    pass

        with pytest.raises(outbound.TotalTimeout):
            asyncio.run(work())

    def test_uses_no_more_connections_than_its_width_and_uses_them_again(self, server: EndpointServer) -> None:
        async def work() -> None:
            async with outbound.client(outbound.Limits(width=10)) as client:
                answers = await asyncio.gather(*(client.get(server.url("ok")) for _ in range(60)))
                assert {answer.status_code for answer in answers} == {200}

        asyncio.run(work())
        assert server.n_connections <= 10

    def test_gives_a_connection_back_after_every_kind_of_end(self, server: EndpointServer) -> None:
        """With a width of one, a connection that is not given back would stop everything after it."""

        async def work() -> None:
            limits = outbound.Limits(width=1, read_s=0.2, total_s=20, n_bytes=1_000_000)
            async with outbound.client(limits) as client:
                for mode in ("huge", "slow", "cut", "hang-up", "bomb", "bad-gzip", "redirect"):
                    with contextlib.suppress(outbound.OutboundError, httpx2.HTTPError):
                        await client.get(server.url(mode))
                    assert (await client.get(server.url("ok"))).status_code == 200

        asyncio.run(work())

    def test_keeps_no_cookies(self, server: EndpointServer) -> None:
        async def work() -> None:
            async with outbound.client(QUICK) as client:
                await client.get(server.url("cookie"))
                await client.get(server.url("ok"))

        asyncio.run(work())
        assert "cookie" not in server.requests[-1].headers
