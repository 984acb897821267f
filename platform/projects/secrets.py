"""API keys as text: how they are made, recognised and hashed."""

import hashlib
import secrets

MARK = "rk_"


def new_key() -> str:
    """A key with 256 random bits. SHA-256 is enough for what cannot be guessed (no password hashing needed)."""
    return MARK + secrets.token_urlsafe(32)


def digest(key: str) -> bytes:
    """What is stored and looked up; 32 bytes."""
    return hashlib.sha256(key.encode()).digest()


def prefix(key: str) -> str:
    """The part that may be shown again."""
    return key[:10]
