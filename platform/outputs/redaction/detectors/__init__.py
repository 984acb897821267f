"""One file for each sort of thing that is found; to add one, copy a file and import it here."""

from outputs.redaction.detectors import card, email, iban, ip, national_id, phone, secret

__all__ = ["card", "email", "iban", "ip", "national_id", "phone", "secret"]
