"""Addresses have one form when they are saved, and say exactly where a secret may go."""

import pytest

from connections import addresses


@pytest.mark.parametrize(
    "text",
    ["https://api.example.org/v1", "http://127.0.0.1:8080", "http://[::1]:9/v1", "HTTPS://Bücher.example/x"],
)
def test_takes_plain_addresses(text: str) -> None:
    assert addresses.checked(f"{text}/") == addresses.checked(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no http"),
        ("api.example.org/v1", "no http"),
        ("ftp://example.org", "no http"),
        ("file:///etc/passwd", "no http"),
        ("https://", "no host"),
        ("https:///v1", "no host"),
        ("https://me@example.org", "user or password"),
        ("https://me:canary@example.org", "user or password"),
        ("https://example.org/v1?key=canary", "query or a fragment"),
        ("https://example.org/v1?", "query or a fragment"),
        ("https://example.org/v1#x", "query or a fragment"),
        ("https://example.org:99999", "port 99999"),
        ("https://example.org:0", "port 0"),
        ("https://exa mple.org", "space"),
        ("https://example.org/\n", "space"),
        ("https://example.org\x00.evil.example", "space"),
        ("https://[::1", "no URL"),
        ("https://example.org/" + "x" * 500, "longer"),
    ],
)
def test_refuses_other_forms_and_says_why(text: str, why: str) -> None:
    with pytest.raises(addresses.BadAddress, match=why) as caught:
        addresses.checked(text)
    assert "canary" not in str(caught.value)


def test_the_place_of_a_secret_is_scheme_host_and_port() -> None:
    assert addresses.origin("https://API.example.org/v1") == "https://api.example.org:443"
    assert addresses.origin("https://api.example.org:443/other") == "https://api.example.org:443"
    assert addresses.origin("https://api.example.org./v1") == "https://api.example.org:443"
    assert addresses.origin("http://api.example.org/v1") == "http://api.example.org:80"
    assert addresses.origin("https://api.example.org:8443") == "https://api.example.org:8443"
