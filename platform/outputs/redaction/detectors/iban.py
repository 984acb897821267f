"""International bank account numbers: the length of the country, and ISO 7064's MOD 97-10 (ISO 13616)."""

from collections.abc import Iterator

from outputs.redaction.detector import EDGE, Place, Span, register, shape, stands_alone

# From the registry of ISO 13616.
_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
_SEPARATORS = b" -"
_SHAPE = shape(r"(?i)(?:" + "|".join(sorted(_LENGTHS)) + r")[0-9]{2}(?:[ -]?[A-Z0-9]){11,30}")


@register
class Iban:
    name = "iban"
    rank = 3
    words = "Bank account (IBAN)"
    note = "Only of the length of its country and with valid check digits."

    def hint(self, regions: tuple[str, ...]) -> bytes:
        countries = "|".join(sorted(_LENGTHS)).encode()
        return EDGE + rb"(?i:" + countries + rb")[0-9]{2}(?:[ -]?[A-Za-z0-9]){11}"

    def find(self, text: bytes, place: Place) -> Iterator[Span]:
        for match in _SHAPE.finditer(text):
            start, found = match.start(), match.group()
            end = start + _end_of(found, _LENGTHS[found[:2].decode().upper()])
            if end > start and stands_alone(text, start, end) and _checks(self.canonical(text[start:end].decode())):
                yield start, end

    def canonical(self, found: str) -> str:
        return found.replace(" ", "").replace("-", "").upper()


def _end_of(found: bytes, length: int) -> int:
    """Where so many letters and digits end; 0 where there are fewer."""
    places = [place for place, character in enumerate(found) if character not in _SEPARATORS]
    return places[length - 1] + 1 if len(places) >= length else 0


def _checks(iban: str) -> bool:
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1
