"""Redaction: takes keys, tokens, paths, accounts and host names out of texts that callers and operators read."""

import re
from collections.abc import Iterable

_KEY_PREFIXES = r"(?:pk|rk|gsk|csk|xai|hf|r8|fw|tgp|tvly|pplx|nvapi|glpat|github_pat|gh[opsu])"
_TOP_DOMAINS = r"(?:com|net|org|dev|cloud|app|azure|internal|local|localdomain|localhost|lan|svc|corp|intranet)"
_SECRETS = r"(?:api[-_ ]?key|access[-_ ]?key|account_?key|token|secret|password|passwd|pwd|credential|signature|sig)"
_LABEL = r"(?:[\w-]{1,63}\.)"
_MIN_SECRET_LENGTH = 4
"""A shorter one may be an ordinary word, for example a key that a local server ignores."""


def _compiled(*patterns: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in patterns)


_KEYS = _compiled(
    (r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}", r"\1 [redacted]"),
    (rf"\bsk-[\w*.-]{{3,}}|\b{_KEY_PREFIXES}[-_][\w*.-]{{10,}}|\bAIza[\w-]{{20,}}|\bAKIA\w{{12,}}", "[redacted]"),
    (r"\beyJ[\w-]{10,}\.[\w-]+\.?[\w-]*", "[redacted]"),  # a JSON web token
    (rf"(?i)(?<![A-Za-z])({_SECRETS}[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&]{{4,}}", r"\1[redacted]"),
    (r"([?&]ticket=)[^\s\"'&#]+", r"\1[redacted]"),
    (r"://[^\s\"'<>@]+@", "://[redacted]@"),
    (r"(?<![\w+/-])(?=[\w+/-]*\d)(?=[\w+/-]*[A-Z])[\w+/-]{64,}={0,2}", "[redacted]"),
    (r"\b[0-9a-fA-F]{32,}\b|\b(?=[A-Za-z]*\d)[A-Za-z0-9]{40,}\b", "[redacted]"),
)
_PLACES = _compiled(
    (r"\b(?:org|proj|user)-[A-Za-z0-9]{12,}|\barn:[\w:/.*+=@-]+", "[account]"),
    (r"(?i)\b([a-z][a-z0-9+.-]{1,15})://[^\s\"'<>)]+", r"\1://[redacted]"),
    (rf"(?i)(?<![\w@/.-]){_LABEL}{{1,9}}{_TOP_DOMAINS}(?::\d+)?\b(?!\.?\w)|\blocalhost(?::\d+)?\b", "[address]"),
    (rf"(?<![\w@/.-]){_LABEL}{{1,9}}[\w-]{{1,63}}:\d{{2,5}}\b", "[address]"),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "[address]"),
    (r"(?i)(?<![\w:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}\b|(?<![\w:])::1\b", "[address]"),
    (r"(?<![\w/.])(?:/[\w.-]+){2,}/?|\b[A-Za-z]:\\[\w.\\-]+|\\\\[\w.\\$-]+", "[path]"),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` for callers: without what may be a secret or a detail of the machine, and without `secrets`."""
    return _replace(redact_keys(text, secrets), _PLACES)


def redact_keys(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` for the operator's log: without what may be a secret, and without `secrets`."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _MIN_SECRET_LENGTH:
            text = text.replace(secret, "[redacted]")
    return _replace(text, _KEYS)


def _replace(text: str, patterns: Iterable[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in patterns:
        text = pattern.sub(replacement, text)
    return text
