"""The shapes of an ASGI application (specification 3.0)."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def header(scope: Scope, name: bytes) -> str:
    """The value of a header (name in lower case), or "" where there is none; several are joined by commas."""
    return ", ".join(value.decode("latin-1").strip() for found, value in scope["headers"] if found == name)
