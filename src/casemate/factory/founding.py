"""Founding: a key, a site.

Rules. A site appears whole, by one rename. The officer who founds it is its root of trust: their key signs the
policies.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from casemate.airlock.exchange import ExchangePolicy
from casemate.catalog import Catalog, Person, Reader
from casemate.errors import AboveCeiling, BadInput, NameTaken
from casemate.factory import policies
from casemate.factory.desk import is_protected, pen_of, signature_of, utc_now
from casemate.factory.site import SITE_FILE
from casemate.gates.pen import serve, unlock
from casemate.gates.policy import GatePolicy
from casemate.markings import Clearance, Marking, Policy, shipped_policies
from casemate.signing import PublicKey, Signer, Trust, TrustedKey, generate_key_file
from casemate.store import open_store
from casemate.store.whole import write_whole

KEY_LIFE = timedelta(days=3 * 365)


@dataclass(frozen=True)
class Founding:
    """What a new site is made from."""

    name: str
    policy: Policy
    ceiling: Marking
    officer: str
    clearance: Clearance
    pen: Signer


def new_key(file: Path, passphrase: bytes | None) -> dict[str, str]:
    """Make a key pair: `file`, and `file`.pub beside it."""
    public = generate_key_file(file, passphrase, unprotected=passphrase is None)
    shared = file.with_name(file.name + ".pub")
    write_whole(shared, public.to_json())
    return {"key": str(file), "public_key": str(shared), "keyid": public.keyid}


def serve_agent(file: Path, passphrase: Callable[[], bytes], at: Path, *, lifetime_s: float) -> None:
    """Hold the key unlocked and sign at the socket `at` for this user alone, until `lifetime_s` seconds have passed."""
    pen = unlock(file, passphrase() if is_protected(file) else None)
    serve(pen, at, lifetime_s=lifetime_s)


def init_site(
    root: Path,
    *,
    name: str,
    policy: str,
    ceiling: str,
    officer: str,
    officer_key: Path,
    passphrase: Callable[[bool], bytes],
    clearance: str | None = None,
    now: Callable[[], datetime] = utc_now,
) -> dict[str, str]:
    """Make a site in `root`; `passphrase` is asked with True for a new key, False for one that exists."""
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise NameTaken(root, expected="a new or empty folder", found="a folder in use")
    if not name.strip() or not name.isprintable():
        raise BadInput("name of the site", expected="printable text on one line", found=repr(name))
    words = _policy(policy)
    top = words.parse(ceiling)
    cleared = words.parse_clearance(clearance) if clearance else _all_within(words, top)
    if cleared.level < top.level or not cleared.compartments >= top.compartments:
        raise AboveCeiling(f"clearance of {officer}", expected=f"one that covers the ceiling {top}", found=cleared)
    if not officer_key.exists():
        new_key(officer_key, passphrase(True))
    pen = pen_of(officer_key, lambda: passphrase(False))
    _found(root, Founding(name, words, top, officer, cleared, pen), now)
    return {"site": str(root), "name": name, "ceiling": str(top), "officer": officer, "officer_keyid": pen.public.keyid}


def _found(root: Path, founding: Founding, now: Callable[[], datetime]) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = root.with_name(f".{root.name}.{secrets.token_hex(4)}.partial")
    try:
        for folder in ("", "keys", "policy", "quarantine", "runs", "shelf"):
            (partial / folder).mkdir(mode=0o700)
        open_store("posix", partial / "objects")
        site_key = generate_key_file(partial / "keys" / "site.key", None, unprotected=True)
        write_whole(partial / "officer.pub.json", founding.pen.public.to_json())
        write_whole(partial / SITE_FILE, _settings(founding).encode())
        _fill_catalog(partial, founding, site_key, now)
        partial.rename(root)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _fill_catalog(root: Path, founding: Founding, site_key: PublicKey, now: Callable[[], datetime]) -> None:
    url = f"sqlite:///{root / 'catalog.sqlite'}"
    catalog = Catalog.open(url, founding.policy, ceiling=founding.ceiling, clock=now)
    store = open_store("posix", root / "objects")
    pen, reason = founding.pen, "founding of the site"

    def sign(act: bytes) -> dict[str, Any]:
        return signature_of(pen, act)

    public = pen.public.to_json().decode()
    person = Person(founding.officer, founding.clearance, frozenset({"officer"}), pen.public.keyid, public)
    catalog.enrol(person, reason=reason, sign=sign)
    by = Reader(person.name, person.clearance)
    lowest = founding.policy.lowest
    catalog.add_project(policies.SITE_PROJECT, lowest, by=by, members=[person.name], reason=reason, sign=sign)
    trust = Trust((trusted(person.name, pen.public, {"officer"}, now()), trusted("site", site_key, {"site"}, now())), 1)
    texts = {
        "markings": founding.policy.text,
        "gates": GatePolicy.shipped().text,
        "gates-language": GatePolicy.shipped("language").text,
        "trust": trust.to_toml(),
        "exchange": ExchangePolicy.shipped().text,
    }
    for policy, text in texts.items():
        envelope = policies.signed(policy, text, pen, serial=1)
        policies.put_in_force(root, catalog, store, policy, envelope, serial=1, by=by, reason=reason, sign=sign)
    catalog.close()


def trusted(name: str, public: PublicKey, roles: set[str], now: datetime) -> TrustedKey:
    """A line of the trust file, good from now on for three years."""
    start = now.replace(microsecond=0)
    return TrustedKey(name, public, frozenset(roles), start, start + KEY_LIFE)


def _settings(founding: Founding) -> str:
    return (
        "# Settings of this site: docs/settings.md\n"
        f"name = {_quoted(founding.name)}\n"
        f"ceiling = {_quoted(str(founding.ceiling))}\n"
        f'officer_keyid = "{founding.pen.public.keyid}"\n\n'
        '[catalog]\nurl = "sqlite:///catalog.sqlite"\n\n'
        '[store]\nbackend = "posix"\nroot = "objects"\n\n'
        '[compute]\nexecutor = "local"\nthreads = 0\n'
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _policy(name: str) -> Policy:
    if name in shipped_policies():
        return Policy.shipped(name)
    file = Path(name)
    if not file.is_file():
        known = ", ".join(shipped_policies())
        raise BadInput("policy of markings", expected=f"one of {known}, or a TOML file", found=repr(name))
    return Policy.from_toml(file.read_text(encoding="utf-8"), source=name)


def _all_within(policy: Policy, ceiling: Marking) -> Clearance:
    return Clearance(ceiling.level, ceiling.compartments, policy.home_nationality)
