"""Addresses of the Internet Protocol, versions 4 and 6."""

import ipaddress
from collections.abc import Iterator

from outputs.redaction.detector import EDGE, Place, Span, alternatives, is_near, register, shape, stands_alone

_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = shape(rf"(?:{_BYTE}\.){{3}}{_BYTE}")
_V6 = shape(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*)")
# `Chrome/120.0.0.0`, `version 10.0.19041.1`, `section 12.3.4.5`
_NUMBERING = shape(r"(?i)(?:[a-z]/|\bv\.? ?|version\W{0,3}|release |build |section |chapter |§ ?|==|~=|>=|<=|@)$")


@register
class Ip:
    name = "ip"
    rank = 7
    words = "IP address"
    note = (
        "Loopback addresses, network masks, versions (as Chrome/120.0.0.0) and four single digits (as section 1.2.3.4)"
        " stay."
    )

    def hint(self, regions: tuple[str, ...]) -> bytes:
        v6 = (
            rb"(?:[0-9A-Fa-f]{1,4}:){3}[0-9A-Fa-f:]|"
            + EDGE
            + rb"(?:[0-9A-Fa-f]{1,4}:){1,2}:[0-9A-Fa-f]|[^\w]::[0-9A-Fa-f]"
        )
        return alternatives([rb"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]", v6])

    def find(self, text: bytes, place: Place) -> Iterator[Span]:
        for match in _V4.finditer(text):
            if _is_apart(text, match.start(), match.end()) and _is_address(match.group(), text, match.start()):
                yield match.span()
        for match in _V6.finditer(text):
            found = match.group().rstrip(b":") if not match.group().endswith(b"::") else match.group()
            end = match.start() + len(found)
            if _is_apart(text, match.start(), end) and _is_v6(found):
                yield match.start(), end

    def canonical(self, found: str) -> str:
        return str(ipaddress.ip_address(found))


def _is_address(found: bytes, text: bytes, start: int) -> bool:
    numbers = [int(number) for number in found.split(b".")]
    if max(numbers) < 10 or numbers[0] in (0, 127, 255):
        return False
    return not is_near(_NUMBERING, text, start, Place())


def _is_v6(found: bytes) -> bool:
    """An address that is more than a prefix, and says something: not `::` or `::1`, nor a time of day."""
    try:
        address = ipaddress.IPv6Address(found.decode())
    except ValueError:
        return False
    return not address.is_loopback and not address.is_unspecified and len(found.replace(b":", b"")) > 3


def _is_apart(text: bytes, start: int, end: int) -> bool:
    """Whether it is not part of a longer number or name; a full stop may end the sentence."""
    before, after = text[start - 1 : start], text[end : end + 2]
    if before in (b".", b":") or not stands_alone(text, start, end):
        return False
    return not (after[:1] == b"." and after[1:].isdigit())
