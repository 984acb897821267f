"""Telephone numbers: international ones always, national ones of the countries that a policy names."""

import functools
from collections.abc import Callable, Iterator

import phonenumbers
import re2
from phonenumbers import PhoneMetadata

from outputs.redaction.detector import NUMBER_EDGE, Place, Span, alternatives, register, shape, stands_alone

# At most 17 digits at a time: E.164 allows 15, and `00` may stand before them.
_INTERNATIONAL = shape(r"(?:\+|00 ?)[(]?[1-9](?:[ ().\-/]{0,3}[0-9]){6,14}")
_NATIONAL = shape(r"[(]?[0-9](?:[ ().\-/]{0,3}[0-9]){6,14}")
_DIGITS = shape(r"[0-9]+")
_TRUNK = b"(0)"
_SEPARATORS = b" ()+./-"
_DATE = shape(r"^(?:[12][0-9]{3}[-./ ][01]?[0-9][-./ ][0-3]?[0-9]|[0-3]?[0-9][-./ ][01]?[0-9][-./ ][12][0-9]{3})")
_TYPES = (
    "fixed_line mobile toll_free premium_rate shared_cost personal_number voip pager uan voicemail".split()
)  # those that make a number valid, as `phonenumbers.number_type` says
REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS)


@register
class Phone:
    name = "phone"
    rank = 6
    words = "Telephone number"
    note = "National numbers, as 030 123456, count only for the countries that are named."

    def hint(self, regions: tuple[str, ...]) -> bytes:
        international = rb"(?:\+|" + NUMBER_EDGE + rb"00 ?)\(?[1-9](?:[ ().\-/]{0,3}[0-9]){6}"
        national = [NUMBER_EDGE + rb"[(0-9](?:[ ().\-/]{0,3}[0-9]){6}"] if regions else []
        return alternatives([international, *national])

    def find(self, text: bytes, place: Place) -> Iterator[Span]:
        international = list(_numbers(text, _INTERNATIONAL, _is_international))
        yield from international
        if not place.regions:
            return
        taken = {start for start, _ in international}
        is_national = functools.partial(_is_national, regions=place.regions)
        for start, end in _numbers(text, _NATIONAL, is_national):
            # A national number inside of an international one is that one, without its plus.
            if not any(begin in taken for begin in range(max(0, start - 6), start)):
                yield start, end

    def canonical(self, found: str) -> str:
        return _digits(found.encode("utf-8", "replace")).removeprefix(b"00").decode("utf-8", "replace")


def _numbers(text: bytes, written: "re2._Regexp", is_number: Callable[[bytes], bool]) -> Iterator[Span]:
    """The longest beginning of each candidate that ends with a group of digits and is a number."""
    for match in written.finditer(text):
        start, found = match.start(), match.group()
        ends = [group.end() for group in _DIGITS.finditer(found)]
        for end in reversed(ends):
            if stands_alone(text, start, start + end) and is_number(found[:end]):
                yield start, start + end
                break


def _digits(found: bytes) -> bytes:
    return found.replace(_TRUNK, b"").translate(None, _SEPARATORS)


def _is_international(found: bytes) -> bool:
    """After a plus any possible number counts; `00` begins other things too, so there it must be valid."""
    digits = _digits(found)
    if found.startswith(b"+"):
        return any(len(digits) - n in _lengths().get(digits[:n], ()) for n in (1, 2, 3))
    digits = digits.removeprefix(b"00")
    return any(
        _valid(region, int(digits[:n])).fullmatch(digits[n:]) is not None
        for n in (1, 2, 3)
        for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:n]), ())
    )


def _is_national(found: bytes, *, regions: tuple[str, ...]) -> bool:
    digits = _digits(found)
    return not _DATE.search(found) and any(_dialled(region).fullmatch(digits) is not None for region in regions)


@functools.cache
def _lengths() -> dict[bytes, frozenset[int]]:
    """How many digits may follow each country calling code."""
    found = {}
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        described = filter(None, (_metadata(region, code).general_desc for region in regions))
        lengths = {length for each in described for length in each.possible_length}
        found[str(code).encode()] = frozenset(lengths - {length for length in lengths if length < 6} or lengths)
    # Seven digits are an American number only for somebody who dials there.
    return {**found, b"1": frozenset({10})}


@functools.cache
def _valid(region: str, code: int = 0) -> "re2._Regexp":
    """The national numbers of a region (or where it is no country, of a code), without what is dialled before them."""
    found = _metadata(region, code)
    patterns = {getattr(found, kind).national_number_pattern for kind in _TYPES if getattr(found, kind)}
    return shape("|".join(f"(?:{pattern})" for pattern in sorted(filter(None, patterns))) or "$^")


@functools.cache
def _dialled(region: str) -> "re2._Regexp":
    """The same as they are written in the region: with its prefix, which is left out only where that is usual."""
    found = _metadata(region, 0)
    prefix = found.national_prefix or ""
    before = f"(?:{prefix})" + ("" if prefix == "0" else "?")
    return shape(f"{before if prefix else ''}(?:{_valid(region).pattern.decode()})")


def _metadata(region: str, code: int) -> PhoneMetadata:
    of_region = PhoneMetadata.metadata_for_region(region, None) if region in REGIONS else None
    found = of_region or PhoneMetadata.metadata_for_nongeo_region(code, None)
    if found is None:
        raise LookupError(f"no telephone numbers are known of {region} ({code})")
    return found
