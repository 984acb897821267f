"""The tokens of feedback doors: how they are signed and read, and how a server vouches for one output."""

import hashlib
import hmac
import secrets

from django.core.signing import BadSignature, Signer

MARK = "rf_"
_SALT = "outputs.feedback-door"


def token_of(door_id: int, version: int) -> str:
    """What a page sends to get through this door. It is signed, not stored, so it can be shown at any time."""
    return MARK + _signer().sign(f"{door_id}.{version}")


def door_of(token: str) -> tuple[int, int] | None:
    """The id and version of the door that a token was signed for; None for anything else."""
    if not token.startswith(MARK) or not token.isascii():
        return None
    try:
        door_id, version = _signer().unsign(token.removeprefix(MARK)).split(".")
    except (BadSignature, ValueError):
        return None
    return int(door_id), int(version)


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def output_token(secret: str, output_id: str) -> str:
    """What a project's server puts beside an output: HMAC-SHA256 of its id under the door's secret, in hex."""
    return hmac.new(secret.encode(), output_id.encode(), hashlib.sha256).hexdigest()


def vouches(secret: str, output_id: str, said: str) -> bool:
    """Whether `said` is the token of this output."""
    return hmac.compare_digest(output_token(secret, output_id).encode(), said.encode())


def _signer() -> Signer:
    return Signer(salt=_SALT, sep=".")
