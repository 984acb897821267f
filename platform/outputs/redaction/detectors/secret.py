"""API keys, tokens, private keys and passwords: by how their makers mark them, or by what they are called."""

from collections.abc import Iterator

from outputs.redaction.detector import BLANK, EDGE, Place, Span, alternatives, register, shape
from projects import secrets

# What is marked by whoever made it: a pattern of its beginning, and of the whole.
_MARKED = {
    "sk-": r"sk-[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic (sk-ant-), Langfuse (sk-lf-), OpenRouter …
    "AKIA": r"AKIA[A-Z0-9]{16}",
    "ASIA": r"ASIA[A-Z0-9]{16}",
    "gh[pousr]_": r"gh[pousr]_[A-Za-z0-9]{30,}",
    "github_pat_": r"github_pat_[A-Za-z0-9_]{22,}",
    "glpat-": r"glpat-[A-Za-z0-9_-]{20,}",
    "xox[a-z]-": r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    "xapp-": r"xapp-[A-Za-z0-9-]{20,}",
    r"hooks\.slack\.com": r"hooks\.slack\.com/services/[A-Za-z0-9/]{20,}",
    "AIza": r"AIza[A-Za-z0-9_-]{35}",
    r"ya29\.": r"ya29\.[A-Za-z0-9_-]{20,}",
    "GOCSPX-": r"GOCSPX-[A-Za-z0-9_-]{20,}",
    "[rsp]k_live_": r"[rsp]k_live_[A-Za-z0-9]{16,}",
    "[rsp]k_test_": r"[rsp]k_test_[A-Za-z0-9]{16,}",
    "whsec_": r"whsec_[A-Za-z0-9+/=]{20,}",
    "hf_": r"hf_[A-Za-z0-9]{30,}",
    "gsk_": r"gsk_[A-Za-z0-9]{40,}",
    "r8_": r"r8_[A-Za-z0-9]{35,}",
    "xai-": r"xai-[A-Za-z0-9]{40,}",
    "npm_": r"npm_[A-Za-z0-9]{36}",
    "pypi-": r"pypi-AgE[A-Za-z0-9_-]{50,}",
    r"SG\.": r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "dop_v1_": r"dop_v1_[a-f0-9]{64}",
    "AGE-SECRET-KEY-": r"AGE-SECRET-KEY-1[A-Z0-9]{50,}",
    "eyJ": r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",  # JSON Web Token
    secrets.MARK: secrets.MARK + r"[A-Za-z0-9_-]{40,}",
}
_MARKS = shape("|".join(_MARKED.values()))
# To its end, or where that is missing to the first hyphens; some headers of PEM hold single ones.
_PRIVATE = r"[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_PEM = shape(rf"-----BEGIN {_PRIVATE}(?:[^-]|-[^-])*(?:-----END {_PRIVATE})?")
_BEARER = shape(r"(?i)\b(?:bearer|basic|token)[ ]+([A-Za-z0-9._~+/-]{16,}={0,2})")
_IN_ADDRESS = shape(r"://[^\s/:@\"']{0,100}:([^\s/@\"']{1,200})@[A-Za-z0-9\xc0]")

_NAMES = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|api[ _-]?key|(?:access|auth|refresh|session|bearer|bot)[ _-]?token"
    r"|(?:private|access|account|secret)[ _-]?key|authorization|credentials?)"
)
_NAMED = shape(
    rf"(?i){_NAMES}[\\\"'`*]{{0,4}}(\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}}|\s{{1,3}}(?:is|was)\s{{1,3}})"
    r"[\\\"'`*]{0,4}((?:(?:bearer|basic|token)\s{1,3})?[^\s\"'`,;<>{}()\[\]\\]{4,500})"
)
_KEY = shape(rf"(?i)(?:^|[^a-z]|[a-z])(?:{_NAMES}|idtoken|id_token)s?$")
# No secret but where one would stand.
_PLACEHOLDER = shape(
    r"(?i)^(?:[$%#&<{\[(*@].*|\*+|x+|\.+|-+|_+|(?:your|my|the|new|old)[ _-].*"
    r"|.*(?:environ|getenv|process\.env|settings\.|config\.|self\.).*"
    r"|none|null|nil|true|false|undefined|string|str|bytes|required|optional|secret|password|passwd|pwd"
    r"|changed|incorrect|invalid|wrong|redacted|hidden|masked)$"
)
_HAS_DIGIT = shape(r"[0-9]")
_HAS_SIGN = shape(r"[!@#$%^&*+=~?]")


@register
class Secret:
    name = "secret"
    rank = 1
    words = "API key, token or password"
    note = (
        "Keys of OpenAI, Anthropic, AWS, GitHub, GitLab, Slack, Google, Stripe, Hugging Face and others, JSON Web"
        " Tokens, private keys, Authorization headers, passwords in addresses, and whatever a name such as password or"
        " api_key stands before. Placeholders stay."
    )

    def hint(self, regions: tuple[str, ...]) -> bytes:
        marks = EDGE + alternatives(mark.encode() for mark in _MARKED) + rb"[A-Za-z0-9/_-]{5}"
        named = _NAMES.encode() + rb"s?[\\\"'`*]{0,6}(?:\\[nrt]|\s){0,3}(?:[:=]|is\s|was\s)"
        bearer = rb"(?i:(?:bearer|basic|token) +[A-Za-z0-9._~+/-]{16})"
        in_address = rb"://[^\s/@\"]{0,300}:[^\s/@\"]{1,200}@"
        return alternatives([marks, rb"PRIVATE KEY", bearer, rb"(?i:" + named + rb")", in_address])

    def find(self, text: bytes, place: Place) -> Iterator[Span]:
        if _is_under_a_name(text, place.key):
            yield 0, len(text)
            return
        yield from (
            match.span()
            for match in _MARKS.finditer(text)
            if not text[max(0, match.start() - 1) : match.start()].isalnum()
        )
        yield from (match.span() for match in _PEM.finditer(text))
        yield from (match.span(1) for match in _IN_ADDRESS.finditer(text))
        yield from (match.span(1) for match in _BEARER.finditer(text) if _HAS_DIGIT.search(match.group(1)))
        yield from (match.span(2) for match in _NAMED.finditer(text) if _is_said(match.group(1), match.group(2)))

    def canonical(self, found: str) -> str:
        return found


def _is_under_a_name(text: bytes, key: bytes) -> bool:
    """Whether the text stands alone under a name such as `password`."""
    if not key or BLANK in text or len(text) < 4 or not _KEY.search(key):
        return False
    return not _PLACEHOLDER.match(text)


def _is_said(joint: bytes, value: bytes) -> bool:
    """Whether what follows a name is a secret: in prose much follows one that is none."""
    if _PLACEHOLDER.match(value) or value.endswith(b"("):
        return False
    if joint == b"=":
        return True
    has_digit = _HAS_DIGIT.search(value) is not None
    return len(value) >= 6 and (has_digit or _HAS_SIGN.search(value[:-1]) is not None)
