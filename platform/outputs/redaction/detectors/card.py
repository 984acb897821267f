"""Payment cards: known first digits, a length that goes with them, and Luhn's check digit (ISO/IEC 7812-1)."""

from collections.abc import Iterator

from outputs.redaction.detector import NUMBER_EDGE, Place, Span, is_near, register, shape, stands_alone

# Whole, in groups of three and more, or digit by digit; sums and fractions have other shapes.
_SHAPES = shape(r"[234568](?:[0-9]{11,18}|[0-9]{3}(?:[ -][0-9]{3,6}){2,3}(?:[ -][0-9]{1,3})?|(?:[ -][0-9]){12,18})")
_NETWORKS = [
    (shape(r"4"), {16, 19, 13}),
    (shape(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), {16}),
    (shape(r"3[47]"), {15}),
    (shape(r"6011|64[4-9]|65|81|82|508"), {16, 19}),
    (shape(r"30[0-5]|309|36|3[89]"), {14, 16}),
    (shape(r"35(?:2[89]|[3-8])"), {16}),
    (shape(r"62"), {16, 17, 18, 19}),
    (shape(r"220[0-4]"), {16}),
    (shape(r"50|5[6-8]|63|67"), {12, 13, 14, 15, 16, 17, 18, 19}),
]
# Lengths that hardly any card has and many article numbers have.
_RARE_LENGTHS = {12, 13, 17, 18, 19}
_CARD = shape(r"(?i)card|karte|carte|tarjeta|cart[a\xc0]o|carta|karta|kaart|visa|maestro|unionpay|\bpan\b|\bcc\b")

_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes([0, 2, 4, 6, 8, 1, 3, 5, 7, 9]))


@register
class Card:
    name = "card"
    rank = 4
    words = "Payment card"
    note = "Only with a valid check digit; 12, 13 and 17 to 19 digits only in groups, or where a card is spoken of."

    def hint(self, regions: tuple[str, ...]) -> bytes:
        return NUMBER_EDGE + rb"[234568](?:[ -]?[0-9]){11}"

    def find(self, text: bytes, place: Place) -> Iterator[Span]:
        for match in _SHAPES.finditer(text):
            start, end = match.span()
            if not stands_alone(text, start, end) or _is_fraction(text, start):
                continue
            found = match.group()
            digits = found.translate(None, b" -")
            is_sure = len(digits) not in _RARE_LENGTHS or len(digits) < len(found)
            if _is_card(digits) and (is_sure or is_near(_CARD, text, start, place)):
                yield start, end

    def canonical(self, found: str) -> str:
        return found.replace(" ", "").replace("-", "")


def luhn(digits: bytes) -> bool:
    """Whether the last digit is Luhn's of the others."""
    return (sum(digits[-1::-2].translate(_VALUES)) + sum(digits[-2::-2].translate(_DOUBLED))) % 10 == 0


def _is_card(digits: bytes) -> bool:
    return luhn(digits) and any(len(digits) in lengths and begins.match(digits) for begins, lengths in _NETWORKS)


def _is_fraction(text: bytes, start: int) -> bool:
    """Whether these are the digits after a decimal point."""
    return start > 1 and text[start - 1] in b".," and text[start - 2 : start - 1].isdigit()
