"""Check digits of national identification numbers. Each function takes letters in upper case and no separators."""

import calendar

_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
# Of the letters at odd places; a digit counts as the letter of its place in the alphabet.
_CODICE_ODD = dict(zip(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23],
    strict=True,
))  # fmt: skip
_CODICE_ODD |= {str(digit): _CODICE_ODD[chr(65 + digit)] for digit in range(10)}


def ssn(number: str) -> bool:
    """US: no check digit, but numbers that are never given out (ssa.gov, since 2011)."""
    return number[:3] not in ("000", "666") and number[0] != "9" and number[3:5] != "00" and number[5:] != "0000"


def nino(number: str) -> bool:
    """UK: no check digit, but prefixes that are never given out (HMRC NIM39110)."""
    barred = {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}
    return number[0] not in "DFIQUV" and number[1] not in "DFIOQUV" and number[:2] not in barred and number[8] in "ABCD"


def steuer_id(number: str) -> bool:
    """Germany: of the first ten digits one stands twice or thrice; the last is by ISO 7064 MOD 11,10."""
    counts = sorted((number[:10].count(digit) for digit in set(number[:10])), reverse=True)
    if number[0] == "0" or counts[0] not in (2, 3) or counts[1] != 1:
        return False
    product = 10
    for digit in number[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(number[10])


def nir(number: str) -> bool:
    """France: the last two digits are 97 less the rest of the others; Corsica has letters (INSEE)."""
    digits = number.replace("2A", "19").replace("2B", "18")
    return digits.isdigit() and 97 - int(digits[:13]) % 97 == int(digits[13:])


def codice_fiscale(number: str) -> bool:
    """Italy: a letter of the sum of values that differ by odd and even place (D.M. 23 December 1976)."""
    odd = sum(_CODICE_ODD[character] for character in number[0:15:2])
    even = sum(int(character) if character.isdigit() else ord(character) - 65 for character in number[1:15:2])
    return chr(65 + (odd + even) % 26) == number[15]


def dni(number: str) -> bool:
    """Spain: a letter of the rest by 23; the first of a foreigner's NIE stands for a digit."""
    digits = str("XYZ".index(number[0])) + number[1:8] if number[0] in "XYZ" else number[:8]
    return _DNI[int(digits) % 23] == number[8]


def bsn(number: str) -> bool:
    """The Netherlands: the test by eleven."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    total = sum(int(digit) * weight for digit, weight in zip(number, weights, strict=True))
    return total % 11 == 0 and int(number) > 0


def pesel(number: str) -> bool:
    """Poland: a day of birth, whose month tells the century, and a check digit."""
    month = int(number[2:4])
    century = {0: 1900, 1: 2000, 2: 2100, 3: 2200, 4: 1800}[month // 20]
    total = sum(int(digit) * weight for digit, weight in zip(number[:10], (1, 3, 7, 9) * 3, strict=False))
    is_day = _is_day(century + int(number[:2]), month % 20, int(number[4:6]))
    return is_day and (10 - total % 10) % 10 == int(number[10])


def personnummer(number: str) -> bool:
    """Sweden: a day of birth (60 later for coordination numbers) and Luhn's digit over the last ten."""
    ten = number[-10:]
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(ten[:9])]
    total = sum(n - 9 if n > 9 else n for n in doubled)
    day = int(ten[4:6]) % 60
    # The century is known only of twelve digits; 2000 has every day that any year has.
    return _is_day(2000, int(ten[2:4]), day) and (10 - total % 10) % 10 == int(ten[9])


def _is_day(year: int, month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
