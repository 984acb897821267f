"""An HTTP client that costs next to nothing: prepared requests, kept connections, only the status is read."""

import asyncio
import time
from collections.abc import Iterator, Sequence

Request = bytes


def post(path: str, body: bytes, *, key: str, content_type: str = "application/json") -> Request:
    """A whole request, ready to be sent."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send_all(port: int, requests: Sequence[Request], *, width: int) -> float:
    """Every request is answered with 201, `width` at a time; returns the seconds it took.

    Raises:
        RuntimeError: another answer came.
    """
    waiting = iter(requests)
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(width)]
    began = time.perf_counter()
    await asyncio.gather(*(_send_in_turn(*connection, waiting) for connection in connections))
    seconds = time.perf_counter() - began
    for _, writer in connections:
        writer.close()
    return seconds


async def _send_in_turn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waiting: Iterator[Request]) -> None:
    for request in waiting:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(f"not stored: {head.partition(bytes([13]))[0]!r} {body[:500]!r}")
