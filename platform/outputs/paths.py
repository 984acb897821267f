"""Ids of senders in addresses: any text can be one, and some cannot stand in a path as they are.

Whoever imports this may write `<sent_id:…>` in a path.
"""

from django.urls import register_converter

MARK = "+hex/"
# What other addresses below the same path are called.
TAKEN = frozenset({"count", "newer"})
BELOW = "/verdict"


class SentId:
    """Django's path converter for the id of an output or a trace, slashes included.

    A path loses `.` and `..` on its way: an id with such a part is written in hex, as is one that would be taken for
    another address.
    """

    regex = ".+"

    def to_python(self, value: str) -> str:
        if not value.startswith(MARK):
            return value
        try:
            return bytes.fromhex(value.removeprefix(MARK)).decode()
        except ValueError:
            return value

    def to_url(self, value: str) -> str:
        parts = value.split("/")
        is_taken = value.startswith(MARK) or value in TAKEN or value.endswith(BELOW)
        is_plain = not (is_taken or "." in parts or ".." in parts)
        return value if is_plain else MARK + value.encode().hex()


register_converter(SentId, "sent_id")
