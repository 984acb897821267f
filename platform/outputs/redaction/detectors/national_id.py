"""National identification numbers: by their check digit, and where that is weak by what is said around them too."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from outputs.redaction import checksums
from outputs.redaction.detector import NUMBER_EDGE, Place, Span, alternatives, is_near, register, shape, stands_alone


@dataclass(frozen=True)
class Kind:
    """The numbers of one country.

    Args:
        shape: how they are written.
        checks: whether letters and digits without separators are such a number.
        shape_hint: the same as `shape`, looser, over encoded JSON.
        words: one of them must stand shortly before, or be the key; None where the shape and the check digit say
            enough.
    """

    shape: str
    checks: Callable[[str], bool]
    shape_hint: bytes
    words: str | None = None


_SSN_WORDS = r"\bssn\b|social.{0,3}security|\bsocial\b|\bitin\b|tax.?id"
_KINDS = [
    # US. Three, two and four digits with hyphens are hardly anything else; without them they may be anything.
    Kind(r"[0-9]{3}-[0-9]{2}-[0-9]{4}", checksums.ssn, rb"[0-9]{3}-[0-9]{2}-[0-9]{4}"),
    Kind(r"[0-9]{3}[ .]?[0-9]{2}[ .]?[0-9]{4}", checksums.ssn, rb"[0-9]{3}[ .]?[0-9]{2}[ .]?[0-9]{4}", _SSN_WORDS),
    # UK
    Kind(r"(?i)[A-Z]{2} [0-9]{2} [0-9]{2} [0-9]{2} [A-D]", checksums.nino, rb"[A-Za-z]{2} [0-9]{2} [0-9]{2} [0-9]{2} "),
    Kind(
        r"(?i)[A-Z]{2} ?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2} ?[A-D]",
        checksums.nino,
        rb"[A-Za-z]{2} ?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2} ?[A-Da-d]",
        r"\bni(?:no)?\b|national.{0,3}insurance|insurance.{0,3}n",
    ),
    # Germany
    Kind(r"[1-9][0-9]{10}", checksums.steuer_id, rb"[0-9]{11}"),
    Kind(r"[1-9][0-9] [0-9]{3} [0-9]{3} [0-9]{3}", checksums.steuer_id, rb"[0-9]{2} [0-9]{3} [0-9]{3} [0-9]{3}"),
    # France
    Kind(
        r"[1-478] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[ABab]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
        checksums.nir,
        rb"[1-478] ?[0-9]{2} ?[0-9]{2} ?[0-9][0-9ABab] ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
    ),
    # Italy: letters stand for digits where two people would share a number.
    Kind(
        r"(?i)[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPR-T][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]",
        checksums.codice_fiscale,
        rb"[A-Za-z]{6}[0-9LMNP-Vlmnp-v]{2}[A-Za-z][0-9LMNP-Vlmnp-v]{2}[A-Za-z][0-9LMNP-Vlmnp-v]{3}[A-Za-z]",
    ),
    # Spain
    Kind(r"(?i)[XYZ][ -]?[0-9]{7}[ -]?[A-Z]", checksums.dni, rb"[XYZxyz][ -]?[0-9]{7}[ -]?[A-Za-z]"),
    Kind(r"(?i)[0-9]{8}-?[A-Z]", checksums.dni, rb"[0-9]{8}-?[A-Za-z]"),
    # The Netherlands: one in eleven numbers of nine digits passes.
    Kind(
        r"[0-9]{9}|[0-9]{4}[. ][0-9]{2}[. ][0-9]{3}|[0-9]{3}[. ][0-9]{3}[. ][0-9]{3}",
        checksums.bsn,
        rb"[0-9]{9}|[0-9]{4}[. ][0-9]{2}[. ][0-9]{3}|[0-9]{3}[. ][0-9]{3}[. ][0-9]{3}",
        r"\bbsn\b|burgerservice|sofi|citizen.service",
    ),
    # Poland
    Kind(r"[0-9]{11}", checksums.pesel, rb"[0-9]{11}"),
    # Sweden: the hyphen is part of it; without it one in ten numbers that begin like a day passes.
    Kind(r"(?:19|20)?[0-9]{6}[-+][0-9]{4}", checksums.personnummer, rb"(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}"),
    Kind(
        r"(?:19|20)?[0-9]{10}",
        checksums.personnummer,
        rb"(?:[0-9]{2})?[0-9]{2}(?:0[1-9]|1[0-2])[0-9]{6}",
        r"person(?:al)?.?(?:nummer|number|nr|id)|\bpnr\b|samordningsnummer",
    ),
]
_SHAPES = [(shape(kind.shape), kind, kind.words and shape(f"(?i){kind.words}")) for kind in _KINDS]
_SEPARATORS = str.maketrans("", "", " .-+")


@register
class NationalId:
    name = "national_id"
    rank = 5
    words = "National ID number"
    note = (
        "US SSN, UK NINO, German Steuer-ID, French NIR, Italian codice fiscale, Spanish DNI and NIE, Dutch BSN, Polish"
        " PESEL, Swedish personnummer. Check digits must be valid; those that could be any number count only where"
        " their name stands before them."
    )

    def hint(self, regions: tuple[str, ...]) -> bytes:
        return NUMBER_EDGE + alternatives(dict.fromkeys(kind.shape_hint for kind in _KINDS)) + rb"(?:[^0-9]|$)"

    def find(self, text: bytes, place: Place) -> Iterator[Span]:
        for written, kind, words in _SHAPES:
            for match in written.finditer(text):
                start, end = match.span()
                is_one = stands_alone(text, start, end) and kind.checks(self.canonical(match.group().decode()))
                if is_one and (words is None or is_near(words, text, start, place)):
                    yield start, end

    def canonical(self, found: str) -> str:
        return found.translate(_SEPARATORS).upper()
