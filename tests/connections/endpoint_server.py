"""A small real HTTP server on loopback that answers as its path says: well, slowly, wrongly, endlessly."""

import asyncio
import json
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

OK = {
    "choices": [{"message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3},
}


@dataclass
class Request:
    """What arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class EndpointServer:
    """Serves `url("mode")` for every mode below while its block lasts; counts what arrives."""

    host: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)
    n_connections: int = 0
    port: int = 0

    def url(self, mode: str) -> str:
        return f"http://{self.host}:{self.port}/{mode}/v1"

    @property
    def place(self) -> str:
        """As an entry of OUTBOUND_ALLOW."""
        return f"{self.host}:{self.port}"

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.n_connections += 1
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await self._speak(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                tasks.discard(task)
                writer.close()

        server = await asyncio.start_server(connected, self.host, self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = first.split(" ")[1]
            request = Request(path, headers, body)
            self.requests.append(request)
            async for part in MODES[path.split("/")[1]](request):
                writer.write(part)
                await writer.drain()
            if "connection: close" in (part_text := part[:400].decode("latin-1").lower()) or not part_text:
                return


Mode = Callable[[Request], AsyncIterator[bytes]]


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def plain(status: int, body: Any, *headers: str) -> Mode:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def mode(request: Request) -> AsyncIterator[bytes]:
        yield answer(status, text, *headers)

    return mode


def says(text: str) -> Mode:
    return plain(200, json.dumps({"choices": [{"message": {"content": text}}]}).encode())


async def slow(request: Request) -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def trickle(request: Request) -> AsyncIterator[bytes]:
    """A byte now and then: never silent for long, never done."""
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        await asyncio.sleep(0.02)
        yield b"1\r\n \r\n"


async def endless(request: Request) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


async def cut(request: Request) -> AsyncIterator[bytes]:
    whole = answer(200, json.dumps(OK).encode(), "Connection: close")
    yield whole[:-30]
    yield b""


async def hang_up(request: Request) -> AsyncIterator[bytes]:
    yield b""


async def echo_secret(request: Request) -> AsyncIterator[bytes]:
    said = {"error": {"message": f"wrong key: {request.headers.get('authorization', '')}"}}
    yield answer(401, json.dumps(said).encode())


def bomb(n_bytes: int) -> bytes:
    """This many zeros, as gzip: a thousandth of it."""
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(b"\0" * n_bytes) + packer.flush()


MODES: dict[str, Mode] = {
    "ok": plain(200, OK),
    "ok-gzip": plain(200, zlib.compress(json.dumps(OK).encode(), wbits=31), "Content-Encoding: gzip"),
    "no-usage": plain(200, {"choices": [{"message": {"content": "Paris"}}], "usage": {"prompt_tokens": "many"}}),
    "parts": plain(200, {"choices": [{"message": {"content": [{"type": "text", "text": "Pa"}, {"text": "ris"}]}}]}),
    "slow": slow,
    "trickle": trickle,
    "html": plain(200, b"<html><body>Sign in to the portal</body></html>"),
    "empty": plain(200, b""),
    "huge": plain(200, b'{"choices": "' + b"x" * 50_000_000 + b'"}'),
    "endless": endless,
    "bomb": plain(200, bomb(200_000_000), "Content-Encoding: gzip"),
    "bad-gzip": plain(200, b"not gzip at all", "Content-Encoding: gzip"),
    "nan": plain(200, b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": NaN}}'),
    "deep": plain(200, b"[" * 100_000),
    "surrogate": says("half \ud83d of it"),
    "nul": says("a\x00b"),
    "no-choices": plain(200, {"id": "x"}),
    "no-choice": plain(200, {"choices": []}),
    "no-text": plain(200, {"choices": [{"message": {"content": None, "tool_calls": []}}]}),
    "429": plain(429, {"error": {"message": "Slow down"}}, "Retry-After: 7"),
    "429-date": plain(429, b"", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
    "429-nonsense": plain(429, b"", "Retry-After: soon"),
    "500": plain(500, {"error": {"message": "Out of memory"}}),
    "503": plain(503, b"<html>busy</html>", "Retry-After: 2"),
    "400": plain(400, {"error": {"message": "max_tokens is too large\u0000" + "!" * 1_000}}),
    "404": plain(404, {"error": {"message": "no such model"}}),
    "401": echo_secret,
    "201": plain(201, OK),
    "cookie": plain(200, OK, "Set-Cookie: session=canary; Path=/"),
    "garbage": plain(200, b"\x16\x03\x01 this is no JSON"),
    "cut": cut,
    "hang-up": hang_up,
    "redirect": plain(307, b"", "Location: http://169.254.169.254/latest/meta-data/"),
}
