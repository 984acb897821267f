"""What each detector finds and what it leaves: numbers made up here, with check digits that are right or just not."""

from collections import Counter

import pytest

from outputs.redaction import checksums, detector, detectors, policy
from outputs.redaction.policy import Action
from outputs.redaction.redactor import Redactor, redactor

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq\nabc+/=\n-----END RSA PRIVATE KEY-----"
GITHUB = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
FOUND = {
    "email": [
        "write to john.doe@example.com today",
        "JOHN_DOE+news@mail.example.co.uk",
        "<mailto:o'hara@example.ie>",
        "müller@bücher.example",
        "иван@пример.рф",
        "请联系john@example.com谢谢",
        "ｊｏｈｎ＠ｅｘａｍｐｌｅ．ｃｏｍ",
        "jo\u200bhn@exam\u00adple.com",
        "a@xn--bcher-kva.xn--p1ai",
        "line\njohn@example.com\tnext",
    ],
    "phone": [
        "call +1 202 555 0143 now",
        "+49 (0) 30 901820",
        "+44 20 7946 0958",
        "tel:+33142685300",
        "+1 (555) 010-9999",
        "0049 30 901820",
        "＋１ ２０２ ５５５ ０１４３",
        "+49\u00a030\u2011901820",
        "+4915112345678.",
    ],
    "card": [
        "4111 1111 1111 1111",
        "card 4111111111111111.",
        "5500-0055-5555-5559",
        "378282246310005",
        "3782 822463 10005",
        "6011000990139424",
        "30569309025904",
        "3530111333300000",
        "2223003122003222",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "my visa: 4222222222222",
        "４１１１１１１１１１１１１１１１",
        "\n4111111111111111",
    ],
    "iban": [
        "DE89 3704 0044 0532 0130 00 please",
        "GB82WEST12345698765432",
        "fr1420041010050500013m02606",
        "NL91 ABNA 0417 1643 00",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "DE89-3704-0044-0532-0130-00",
    ],
    "ip": [
        "from 203.0.113.77 at noon",
        "192.168.10.20:8080",
        "2001:db8:85a3::8a2e:370:7334",
        "[2001:db8::1]:443",
        "fe80::1ff:fe23:4567:890a",
        "2001:0db8:85a3:0000:0000:8a2e:0370:7334.",
        "::ffff:203.0.113.77",
    ],
    "national_id": [
        "SSN 078-05-1120",
        "social security number: 536904399",
        "NI number AB 12 34 56 C",
        "national insurance: AB123456C",
        "Steuer-ID 86095742719",
        "47 036 892 816",
        "NIR 2 55 08 14 168 025 38",
        "255081416802538",
        "RSSMRA85T10A562S",
        "DNI 12345678Z",
        "X1234567L",
        "mijn BSN is 111222333",
        "PESEL 44051401359",
        "811218-9876",
        "personnummer 8112189876",
        "19811218-9876",
    ],
    "secret": [
        "sk-proj-abcdEFGH1234ijklMNOP5678",
        "sk-ant-api03-abcdEFGH1234ijklMNOP5678_-x",
        "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        f"push with {GITHUB}",
        "github_pat_11ABCDEFG0abcdefghijkl_MNOPqrstuv",
        "xoxb-123456789012-abcdefGHIJ",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV",
        PEM,
        "Authorization: Bearer abcdef0123456789abcdef",
        "curl -H 'authorization: Basic dXNlcjpwYXNzd29yZA=='",
        "bearer 0123456789abcdef0123",
        "password=hunter2",
        "DB_PASSWORD: s3cr3t!pass",
        '{"password": "hunter2!"}',
        '{\\"api_key\\": \\"abc123def456\\"}',
        "the password is hunter2!",
        "postgres://app:hunter2@db.internal/app",
        "rk_" + "aB3-_" * 8 + "xyz",
    ],
}
LEFT = {
    "email": [
        "@john said so",
        "logo@2x.png",
        "git@github.com:owner/name.git",
        "@property def x(self): ...",
        "3 @ 4.50 each",
        "user@localhost",
        "left @ example.com",
    ],
    "phone": [
        "2026-01-31 12:30:00 +0000",
        "1 + 2025550143",
        "a+12025550143",
        "+1234567890123456789",
        "+1 23",
        "030 901820",
        "0010203",
        "version 00123456789",
        "x = 5 +1000000",
    ],
    "card": [
        "4111 1111 1111 1112",
        "1111111111111117",
        "0.4111111111111111",
        "order 41111111111111111111",
        "4222222222222",
        "1712345678901",
        "a4111111111111111",
        "4 8 15 16 23 42 4 8 15 16",
        "550e8400-e29b-41d4-a716-446655440000",
    ],
    "iban": ["DE89 3704 0044 0532 0130 01", "DE89 3704 0044", "XX82WEST12345698765432", "abDE89370400440532013000"],
    "ip": [
        "Mozilla/5.0 Chrome/120.0.0.0 Safari",
        "version 10.0.19041.1",
        "v10.20.30.40",
        "section 1.2.3.4",
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.0",
        "300.1.2.3",
        "10.20.30.40.50",
        "12:30:00",
        "std::vector<int>::iterator",
        "::1",
        "a::b",
    ],
    "national_id": [
        "000-12-3456",
        "666-12-3456",
        "912-12-3456",
        "order 536904399",
        "part AB123456C",
        "86095742718",
        "12345678901",
        "255081416802539",
        "RSSMRA85T10A562T",
        "12345678A",
        "111222333",
        "44051401358",
        "811218-9875",
        "8112189876",
        "1712345678",
        "phone 123-456-7890",
    ],
    "secret": [
        "sk-learn is scikit-learn",
        "password=",
        "Password: required",
        "the password is incorrect",
        "password=os.environ['PW']",
        "api_key=${API_KEY}",
        "api_key=<your key>",
        "a token of my appreciation",
        "the bearer of this letter may pass",
        "secret: none of your business",
        "https://example.com:8080/path",
        "task-abcdefghijklmnopqrstuvwxyz",
        '"token": "Hello"',
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
    ],
}
ALONE = {name: policy.checked(detectors={other: "keep" for other in FOUND if other != name}) for name in FOUND}


def alone(name: str) -> Redactor:
    """The redactor of one detector."""
    return redactor(ALONE[name], b"key")


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(name, text) for name, texts in table.items() for text in texts]


def test_every_detector_stands_in_both_tables() -> None:
    assert set(FOUND) == set(LEFT) == set(detector.names())
    assert len(detectors.__all__) == len(FOUND)


@pytest.mark.parametrize(("name", "text"), cases(FOUND))
def test_finds(name: str, text: str) -> None:
    counts: Counter[str] = Counter()
    redacted = alone(name).text(text, counts)
    assert f"[{name}]" in redacted
    assert counts == {name: 1}
    assert alone(name).text(redacted, Counter()) == redacted


@pytest.mark.parametrize(("name", "text"), cases(LEFT))
def test_leaves(name: str, text: str) -> None:
    assert alone(name).text(text, Counter()) == text


@pytest.mark.parametrize(("name", "text"), cases(FOUND))
def test_the_whole_of_it_goes(name: str, text: str) -> None:
    """Nothing is left of a number but what is said around it."""
    redacted = alone(name).text(text, Counter())
    assert not [digits for digits in redacted if digits.isdigit() and name in ("card", "phone", "national_id")]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("john@example.com, jane@example.com", "[email], [email]"),
        ("IBAN DE89 3704 0044 0532 0130 00, thanks", "IBAN [iban], thanks"),
        ("call +1 202 555 0143 2026-01-02", "call [phone] 2026-01-02"),
        ("password=hunter2&user=ann", "password=[secret]"),
        ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: [secret]"),
        (f"a {PEM} b", "a [secret] b"),
        ("end with john@example.com.", "end with [email]."),
    ],
)
def test_marks_stand_where_it_stood(text: str, stored: str) -> None:
    assert redactor(policy.DEFAULT, b"key").text(text, Counter()) == stored


@pytest.mark.parametrize(
    ("region", "text"),
    [("DE", "030 901820"), ("GB", "020 7946 0958"), ("US", "(202) 555-0143"), ("FR", "01 42 68 53 00")],
)
def test_national_telephone_numbers_count_where_their_country_is_named(region: str, text: str) -> None:
    said = policy.checked(detectors={}, regions=[region])
    assert redactor(said, b"key").text(f"call {text}!", Counter()) == "call [phone]!"
    assert redactor(policy.DEFAULT, b"key").text(text, Counter()) == text


@pytest.mark.parametrize("text", ["on 2026-01-31", "1712345678", "31.01.2026 10", "4 of 12", "0.0301234567"])
def test_dates_and_counts_are_no_national_telephone_numbers(text: str) -> None:
    said = policy.checked(detectors={}, regions=["DE", "US"])
    assert redactor(said, b"key").text(text, Counter()) == text


@pytest.mark.parametrize(
    ("checks", "good", "bad"),
    [
        (checksums.steuer_id, "65929970489", "65929970488"),
        (checksums.nir, "2A0081416802538"[:0] + "255081416802538", "255081416802537"),
        (checksums.codice_fiscale, "RSSMRA85T10A562S", "RSSMRA85T10A562A"),
        (checksums.dni, "12345678Z", "12345678T"),
        (checksums.dni, "Y1234567X", "Y1234567L"),
        (checksums.bsn, "123456782", "123456783"),
        (checksums.pesel, "02070803628", "02130803628"),
        (checksums.personnummer, "8112189876", "8113189876"),
    ],
)
def test_check_digits(checks: object, good: str, bad: str) -> None:
    assert callable(checks)
    assert checks(good)
    assert not checks(bad)


def test_every_action_has_its_mark() -> None:
    said = {"email": Action.HASH, "card": Action.DROP, "phone": Action.KEEP}
    redacted = redactor(policy.checked(detectors=said), b"key").text(
        "a@example.com A@EXAMPLE.com b@example.com 4111111111111111 +12025550143", Counter()
    )
    first, second, third, *rest = redacted.split(" ")
    assert first == second != third
    assert first.startswith("[email:")
    assert len(first) == len("[email:") + 12 + 1
    assert rest == ["", "+12025550143"]
