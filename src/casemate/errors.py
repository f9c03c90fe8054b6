"""Every deliberate error of Casemate: its tree, exit code and HTTP status on one screen.

    CasemateError              exit  http
    ├── Refused                  3   403   a rule said no (gate, marking, inspection, policy; bad input is 400)
    ├── NotTrusted               4   409   bytes or signatures do not match
    ├── NotFound                 5   404   also: there, but above the reader
    └── Unavailable              6   503   try again later (429 where it is your turn or your quota)

Rules. An error names the thing, says what was expected and what was found, and its message is one line. Control
characters in names are escaped, so that a hostile file name cannot forge a log line. A rule's "no" is one of these; our
own mistake is a RuntimeError and may crash. What is above the reader is NotFound with the same words as what does not
exist.
"""


class CasemateError(Exception):
    """A deliberate "no", with its facts: `thing: expected <expected>, found <found>`."""

    exit_code = 1
    http_status = 500

    def __init__(self, thing: object, *, expected: object, found: object) -> None:
        """Keep the facts as text, escaped to one line."""
        self.thing, self.expected, self.found = (_one_line(fact) for fact in (thing, expected, found))
        super().__init__(f"{self.thing}: expected {self.expected}, found {self.found}")

    def facts(self) -> dict[str, str]:
        """The error as JSON-ready facts, the same for the command line and for HTTP."""
        return {"error": type(self).__name__, "thing": self.thing, "expected": self.expected, "found": self.found}


def _one_line(fact: object) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(fact))


# ── Refused: a rule said no ──────────────────────────────────────────────────────────────────────────────────────────
class Refused(CasemateError):  # noqa: N818
    """A rule said no."""

    exit_code, http_status = 3, 403


class BadInput(Refused):
    """What was given cannot be read as what it should be."""

    http_status = 400  # to clients, 403 is "your key may not" (ADR 0011)


class ContextTooLong(BadInput):
    """Messages that leave no room for an answer in a model's context."""


class LabelOutsideImage(BadInput):
    """A label whose box is not within its image."""


class BadMarking(Refused):
    """A marking or clearance that the site's policy does not know."""


class AboveCeiling(Refused):
    """A marking above what a site, session or destination may hold."""


class NameTaken(Refused):
    """The name exists already in this project at this marking."""


class NotAllowed(Refused):
    """The person lacks the role, the membership or the independence that the act needs."""


class InspectionRefused(Refused):
    """The airlock found something, or a scanner failed."""


class GateClosed(Refused):
    """The gate's policy is not met; the verdict's reasons are in `found`."""


class AirlockClosed(Refused):
    """What two people must decide has not been decided, or was refused."""


class Diverged(Refused):
    """A training run whose loss is no longer a number."""


# ── NotTrusted: bytes or signatures do not match ─────────────────────────────────────────────────────────────────────
class NotTrusted(CasemateError):  # noqa: N818
    """Bytes or signatures do not match."""

    exit_code, http_status = 4, 409


class DigestMismatch(NotTrusted):
    """Bytes whose SHA-256 is not the one that names them."""


class BadSignature(NotTrusted):
    """A signature that does not verify, or whose key may not sign this."""


class Forked(NotTrusted):
    """Two different bundles under one number, or one that does not continue what was taken before it."""


class Revoked(NotTrusted):
    """A release that was withdrawn, has expired, or is not yet valid."""


class JournalBroken(NotTrusted):
    """The journal's chain of hashes does not hold."""


class WrongPassphrase(NotTrusted):
    """A key file that the passphrase does not open."""


# ── NotFound: does not exist, or is above the reader: nobody can tell which ──────────────────────────────────────────
class NotFound(CasemateError):  # noqa: N818
    """There is no such thing for this reader."""

    exit_code, http_status = 5, 404


# ── Unavailable: try again later ─────────────────────────────────────────────────────────────────────────────────────
class Unavailable(CasemateError):  # noqa: N818
    """Try again later."""

    exit_code, http_status = 6, 503


class Busy(Unavailable):
    """More is asked for than there is room for now; `retry_after_s` says when to ask again."""

    http_status = 429

    def __init__(self, thing: object, *, expected: object, found: object, retry_after_s: int = 5) -> None:
        """Keep the facts, and when to ask again."""
        super().__init__(thing, expected=expected, found=found)
        self.retry_after_s = retry_after_s


class QuotaSpent(Busy):
    """A project or a person has used the tokens that the site grants them for today."""


class DiskFull(Unavailable):
    """No room left; nothing was half-written."""


class RunFailed(Unavailable):
    """A run that ended without its result; its log says why."""
