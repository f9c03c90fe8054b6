"""Secrets: private keys, keys and tokens of well-known services by their prefixes, passwords.

Sources: the token formats that GitHub, GitLab, AWS, Google, Slack, Stripe, Hugging Face, npm and PyPI document. A token
with a checksum must satisfy it; a password after its name must look like one.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter

from casemate.airlock.personal.pattern import Pattern

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LEAST_BITS_A_CHARACTER = 2.8
_PLACEHOLDER = re.compile(
    r"(?i)^[<{\[$%*x.]|example|exemple|change.?me|password|your|votre|placeholder|secret|dummy|xxx|\*\*\*"
)
_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----")
_AWS = re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b")
_GITHUB = re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b")
_GITHUB_FINE = re.compile(r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b")
_NPM = re.compile(r"\bnpm_[A-Za-z0-9]{36}\b")
_PREFIXED = re.compile(
    r"\b(?:glpat-[\w-]{20,64}|xox[abeprs]-[\w-]{10,250}|[rs]k_live_[A-Za-z0-9]{20,247}|AIza[\w-]{35}|hf_[A-Za-z]{34}"
    r"|sk-(?:ant-|proj-)?[\w-]{32,200}|pypi-AgE[\w-]{50,250}|dop_v1_[0-9a-f]{64}|SG\.[\w-]{22}\.[\w-]{43})(?![\w-])"
)
_JWT = re.compile(r"\beyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{20,1000}")
_AZURE = re.compile(r"(?i:AccountKey|SharedAccessKey)=(?P<it>[A-Za-z0-9+/]{43,86}={1,2})")
_IN_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@\"'<>]{1,64}:(?P<it>[^\s/@\"'<>]{3,128})@[\w.-]{1,253}")
_NAMED = re.compile(
    r"(?i:\b(?:password|passwd|pwd|passphrase|mot[ _]de[ _]passe|mdp|secret|api[ _-]?key|access[ _-]?token"
    r"|auth[ _-]?token|client[ _-]?secret|secret[ _-]?(?:access[ _-]?)?key)\b)"
    r"[\"']?[ ]?[:=][ ]?[\"']?(?P<it>[^\s\"',;<>]{8,128})"
)


def _has_checksum(token: str) -> bool:
    """Whether the last six characters are the CRC-32 of the rest, in base 62, as GitHub and npm write it."""
    body = token.partition("_")[2]
    value, written = zlib.crc32(body[:-6].encode()), ""
    for _ in range(6):
        value, rest = divmod(value, 62)
        written = _BASE62[rest] + written
    return written == body[-6:]


def _is_mixed(value: str) -> bool:
    """Whether its characters vary as those of a random secret do."""
    counts = Counter(value)
    bits = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return bits >= _LEAST_BITS_A_CHARACTER


def _is_password(value: str) -> bool:
    kinds = [any(c.isdigit() for c in value), any(c.isalpha() for c in value), any(not c.isalnum() for c in value)]
    return sum(kinds) >= 2 and _is_mixed(value) and not _PLACEHOLDER.search(value)


def _is_written(value: str) -> bool:
    return not _PLACEHOLDER.search(value)


_SERVICES = ("glpat-", "xox", "_live_", "AIza", "hf_", "sk-", "pypi-AgE", "dop_v1_", "SG.")
_LAST = r"(?i:ord|swd|pwd|ase|sse|mdp|ret|key|ken)"  # of the words of `_NAMED`
_GIVEN = re.compile(rf"[:=](?:(?<={_LAST}.)|(?<={_LAST}[\"' ].)|(?<={_LAST}[\"'][ ].))")
_LOGIN = re.compile(r"://[^\s:/@\"'<>]{1,64}:")
SECRETS = (
    Pattern("private key", _PEM, anchors=("-----BEGIN",)),
    Pattern("AWS key", _AWS, _is_mixed, anchors=("AKIA", "ASIA")),
    Pattern("GitHub token", _GITHUB, _has_checksum, anchors=re.compile(r"gh[pousr]_")),
    Pattern("GitHub token", _GITHUB_FINE, _is_mixed, anchors=("github_pat_",)),
    Pattern("npm token", _NPM, _has_checksum, anchors=("npm_",)),
    Pattern("service token", _PREFIXED, _is_mixed, anchors=_SERVICES),
    Pattern("signed token (JWT)", _JWT, anchors=("eyJ",), after=8000),
    Pattern("storage key", _AZURE, _is_mixed, anchors=("ey=", "EY="), before=32),
    Pattern("password in an address", _IN_ADDRESS, _is_written, anchors=_LOGIN, before=24, after=500),
    Pattern("password", _NAMED, _is_password, anchors=_GIVEN, before=48, after=180),
)
