"""E-mail addresses, with letters of scripts that put spaces between words: elsewhere a sentence would be one."""

from collections.abc import Iterator

from outputs.redaction.detector import LETTER, Place, Span, register, shape

_ADDRESS = shape(
    rf"[A-Za-z0-9._%+'{LETTER}-]*[A-Za-z0-9_%+{LETTER}-]"
    rf"@[A-Za-z0-9{LETTER}-]+(?:\.[A-Za-z0-9{LETTER}-]+)*\.(?:[A-Za-z{LETTER}]{{2}}[A-Za-z{LETTER}]*|xn--[A-Za-z0-9-]+)"
)
# A picture for a finer screen (`logo@2x.png`) and a remote of git (`git@github.com:owner/name`) are no addresses.
_PICTURE = shape(r"@[0-9]+x\.(?:png|jpe?g|gif|webp|svg|avif)$")
_PICTURES = (b"g", b"f", b"p")
_REMOTE = b"git@"


@register
class Email:
    name = "email"
    rank = 2
    words = "E-mail address"
    note = "The names of pictures such as logo@2x.png and git@ remotes stay."

    def hint(self, regions: tuple[str, ...]) -> bytes:
        return rb"[0-9A-Za-z\x80-\xff_%+-]@[0-9A-Za-z\x80-\xff-]"

    def find(self, text: bytes, place: Place) -> Iterator[Span]:
        for match in _ADDRESS.finditer(text):
            start, end = match.span()
            found = text[start:end]
            is_remote = found.startswith(_REMOTE) and text[end : end + 1] in (b":", b"/")
            if not is_remote and not (found.endswith(_PICTURES) and _PICTURE.search(found)):
                yield end - len(found.lstrip(b".'")), end

    def canonical(self, found: str) -> str:
        return found.casefold()
