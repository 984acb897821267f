"""Thrift's compact protocol, as far as Parquet's headers and footer need it: one structure, whatever its bytes claim.

The library that reads Parquet ends its process at some broken footers, so what leads through a file is read here.
"""

from typing import Any

Structure = dict[int, Any]
_STOP = 0
_TRUE_FALSE = (1, 2)
_INTEGERS = (4, 5, 6)
_DEEPEST = 8


class Broken(Exception):
    """These bytes are no such structure."""


class Compact:
    """Reads structures from the beginning of a text.

    Args:
        text: with the structure; more may follow.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.at = 0

    def structure(self) -> Structure:
        """Its fields by number: integers, bytes, lists and structures; whatever else is left out.

        Raises:
            Broken: it is none, is nested too deep, or ends too early.
        """
        try:
            return self._structure(0)
        except IndexError:
            raise Broken from None

    def _structure(self, depth: int) -> Structure:
        if depth > _DEEPEST:
            raise IndexError
        fields: Structure = {}
        number = 0
        while (kind := self._byte()) & 0x0F != _STOP:
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            if kind & 0x0F not in _TRUE_FALSE:  # those stand in the head of their field
                fields[number] = self._value(kind & 0x0F, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._signed()
        match kind:
            case 3:
                return self._bytes(1)
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._unsigned())
            case 9 | 10:
                return self._list(depth)
            case 12:
                return self._structure(depth + 1)
        raise IndexError  # no map and no other kind stands in what is read here

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        n = self._unsigned() if head >> 4 == 15 else head >> 4
        if n > len(self._text) - self.at:
            raise IndexError
        kind = head & 0x0F
        if kind in _TRUE_FALSE:
            return list(self._bytes(n))
        return [self._value(kind, depth + 1) for _ in range(n)]

    def _byte(self) -> int:
        self.at += 1
        return self._text[self.at - 1]

    def _bytes(self, n: int) -> bytes:
        begin = self.at
        self.at += n
        if self.at > len(self._text):
            raise IndexError
        return self._text[begin : self.at]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise IndexError

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
