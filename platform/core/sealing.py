"""Secrets at rest: encrypted with the installation's own keys, and bound to the place they may be sent to."""

import hmac
import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(Exception):
    """A sealed secret cannot be opened, or not for this place; the message holds nothing of it."""


def seal(text: str, *, bound_to: str) -> bytes:
    """The secret, encrypted with the first of `settings.ENCRYPTION_KEYS`, for one place alone.

    The place stands inside what is encrypted: whoever edits a row's address cannot carry the secret along.

    Args:
        text: the secret.
        bound_to: where it may go, as `https://api.example.org:443`.
    """
    return _keys().encrypt(json.dumps([bound_to, text]).encode())


def unseal(sealed: bytes, *, bound_to: str) -> str:
    """The secret again, opened with whichever key fits, so that a new first key retires the others in time.

    Raises:
        SealBroken: no key fits, the bytes were altered, or the secret was sealed for another place.
    """
    try:
        place, text = json.loads(_keys().decrypt(bytes(sealed)))
    except InvalidToken as error:
        raise SealBroken(
            "A secret cannot be opened with the keys of this installation: put the key it was sealed with"
            " back into RATCHET_ENCRYPTION_KEYS, or save the secret again."
        ) from error
    if not hmac.compare_digest(str(place).encode(), bound_to.encode()):
        raise SealBroken("This secret was saved for another host and is not sent to this one: save it again.")
    return str(text)


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])
