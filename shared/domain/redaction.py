"""Redaction: takes keys, tokens, paths, accounts and host names out of a text that a caller will read."""

import re

_KEY_PREFIXES = r"(?:pk|rk|gsk|csk|xai|hf|r8|fw|tgp|tvly|pplx|nvapi|glpat|github_pat|gh[opsu])"
_TOP_DOMAINS = r"(?:com|net|org|dev|cloud|app|azure|internal|local|localdomain|localhost|lan|svc|corp|intranet)"
_SECRETS = r"(?:api[-_ ]?key|token|secret|password|signature|sig|account_?key)"
_LABEL = r"(?:[\w-]{1,63}\.)"

_PATTERNS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}", r"\1 [redacted]"),
        (rf"\bsk-[\w*.-]{{3,}}|\b{_KEY_PREFIXES}[-_][\w*.-]{{10,}}|\bAIza[\w-]{{20,}}|\bAKIA\w{{12,}}", "[redacted]"),
        (r"\beyJ[\w-]{10,}\.[\w-]+\.?[\w-]*", "[redacted]"),  # a JSON web token
        (rf"(?i)\b({_SECRETS}[\"']?\s*[:=]\s*[\"']?)[^\s\"',;&]{{4,}}", r"\1[redacted]"),  # in a query or a header
        (r"\b(?:org|proj|user)-[A-Za-z0-9]{12,}|\barn:[\w:/.*+=@-]+", "[account]"),
        (r"(?i)\b(https?|wss?)://[^\s\"'<>)]+", r"\1://[redacted]"),
        (rf"(?i)(?<![\w@/.-]){_LABEL}{{1,9}}{_TOP_DOMAINS}(?::\d+)?\b(?!\.?\w)|\blocalhost(?::\d+)?\b", "[address]"),
        (rf"(?<![\w@/.-]){_LABEL}{{1,9}}[\w-]{{1,63}}:\d{{2,5}}\b", "[address]"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "[address]"),
        (r"(?i)(?<![\w:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}\b|(?<![\w:])::1\b", "[address]"),
        (r"(?<![\w/.])(?:/[\w.-]+){2,}/?|\b[A-Za-z]:\\[\w.\\-]+", "[path]"),
        (r"\b[0-9a-fA-F]{32,}\b|\b(?=[A-Za-z]*\d)[A-Za-z0-9]{40,}\b", "[redacted]"),
    )
)


def redact(text: str) -> str:
    """Return `text` without what may be a secret or a detail of the machine."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
