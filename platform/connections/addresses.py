"""Addresses of model endpoints as text: their form, and the place a secret is bound to.

Whether an address may be spoken to is decided when a connection is made (`core.outbound`), never here.
"""

import httpx2

PORTS = {"http": 80, "https": 443}
LONGEST = 500


class BadAddress(ValueError):
    """This is no address of an endpoint; the message says what to write."""


def checked(text: str) -> str:
    """The address without a slash at its end.

    Raises:
        BadAddress: no http(s) URL with a host, or one with a user, a password, a query or a fragment.
    """
    url = _parsed(text)
    if url.scheme not in PORTS:
        raise BadAddress("is no http(s) address; write for instance https://api.example.org/v1")
    if not url.host:
        raise BadAddress("names no host; write for instance https://api.example.org/v1")
    if url.port is not None and not 0 < url.port < 65536:
        raise BadAddress(f"has the port {url.port}; ports go from 1 to 65535")
    if url.userinfo:
        raise BadAddress("holds a user or password; put the key into `secret`, where it is sealed")
    if "?" in text or "#" in text:
        raise BadAddress("holds a query or a fragment; give the part before it, to which paths are added")
    return str(url).rstrip("/")


def origin(address: str) -> str:
    """Scheme, host and port, as `https://api.example.org:443`: the place a secret is bound to."""
    url = _parsed(address)
    return f"{url.scheme}://{url.raw_host.decode().rstrip('.')}:{url.port or PORTS[url.scheme]}"


def _parsed(text: str) -> httpx2.URL:
    if len(text) > LONGEST or not text.isprintable() or " " in text:
        raise BadAddress(f"holds a space or an invisible character, or is longer than {LONGEST} characters")
    try:
        return httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise BadAddress("is no URL; write for instance https://api.example.org/v1") from error
