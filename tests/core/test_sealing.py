"""Sealed secrets open with any known key, and only for the place they were saved for."""

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from core import sealing

HERE, THERE = "https://api.example.org:443", "https://evil.example.org:443"


@pytest.fixture(autouse=True)
def keys(settings: Settings) -> list[str]:
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    return list(settings.ENCRYPTION_KEYS)


def test_gives_back_what_was_sealed() -> None:
    sealed = sealing.seal("sk-canary ü", bound_to=HERE)
    assert b"canary" not in sealed
    assert sealing.unseal(sealed, bound_to=HERE) == "sk-canary ü"


def test_refuses_to_open_for_another_place_and_says_nothing_of_the_secret() -> None:
    sealed = sealing.seal("sk-canary", bound_to=HERE)
    with pytest.raises(sealing.SealBroken, match="another host") as caught:
        sealing.unseal(sealed, bound_to=THERE)
    assert "canary" not in str(caught.value)


def test_opens_with_an_older_key_after_a_new_first_one(settings: Settings, keys: list[str]) -> None:
    old = sealing.seal("sk-canary", bound_to=HERE)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *keys]
    new = sealing.seal("sk-canary", bound_to=HERE)
    assert sealing.unseal(old, bound_to=HERE) == sealing.unseal(new, bound_to=HERE) == "sk-canary"
    settings.ENCRYPTION_KEYS = keys
    with pytest.raises(sealing.SealBroken, match="RATCHET_ENCRYPTION_KEYS"):
        sealing.unseal(new, bound_to=HERE)


def test_refuses_bytes_that_were_altered() -> None:
    sealed = bytearray(sealing.seal("sk-canary", bound_to=HERE))
    sealed[30] ^= 1
    with pytest.raises(sealing.SealBroken):
        sealing.unseal(bytes(sealed), bound_to=HERE)


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    assert sealing.seal("sk-canary", bound_to=HERE) != sealing.seal("sk-canary", bound_to=HERE)
