from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from casemate.errors import (
    BadInput,
    BadSignature,
    CasemateError,
    DigestMismatch,
    GateClosed,
    NotAllowed,
    Revoked,
)
from casemate.gates.approval import approve
from casemate.gates.release import Case, Released, release, revoke
from casemate.gates.release_check import check, read_release, read_revocation, release_statement
from casemate.signing.envelope import Envelope
from casemate.signing.openssf import verify_listing
from casemate.signing.trust import Trust
from casemate.store.digest import Digest
from tests.gates.conftest import MODEL, NOW, pen_of, rescored


def approvals_of(case: Case, trust: Trust, names: Sequence[str] = ("bob", "carol")) -> list[Envelope]:
    seen = case.seen()
    return [approve(seen, pen_of(n), author=case.author, reason="seen", trust=trust, now=NOW) for n in names]


def let_out(
    case: Case,
    trust: Trust,
    *,
    approvals: Sequence[Envelope] | None = None,
    pen: str = "harbour",
    sites: Sequence[str] = ("harbour",),
    not_after: datetime | None = None,
) -> Released:
    given = approvals_of(case, trust) if approvals is None else approvals
    return release(case, case.judge(), given, pen_of(pen), trust=trust, now=NOW, sites=sites, not_after=not_after)


@pytest.fixture(scope="module")
def approvals(case: Case, trust: Trust) -> list[Envelope]:
    return approvals_of(case, trust)


@pytest.fixture(scope="module")
def released(case: Case, trust: Trust, approvals: list[Envelope]) -> Released:
    return let_out(case, trust, approvals=approvals)


def refused(kind: type[CasemateError], act: Callable[[], object]) -> str:
    with pytest.raises(kind) as refusal:
        act()
    return str(refusal.value)


def test_a_release_names_everything_it_rests_on(
    released: Released, case: Case, approvals: list[Envelope], trust: Trust
) -> None:
    again = check(released.envelope, approvals, trust=trust, now=NOW, site="harbour", model=MODEL.digest)
    assert again == released.release == read_release(released.envelope, trust)[0]
    assert (again.name, again.marking, again.author) == ("plane finder", "DR", "anne")
    assert (again.verdict, again.scores) == (case.judge().digest, case.scores.digest)
    assert (again.policy, again.dossier) == (case.policy.digest, case.dossier)
    assert again.approvals == tuple(Digest(approval.hex) for approval in approvals)
    assert (again.valid_from, again.expires) == (NOW, NOW + timedelta(days=365))
    assert released.digest == Digest.of_bytes(released.envelope.to_json())


def test_the_model_signature_is_the_sites(released: Released) -> None:
    files = {file.path: file.digest.hex for file in MODEL.files}
    verify_listing(released.model_signature, files, pen_of("harbour").public.p384_pem())


def test_the_gate_stays_closed_with_the_first_reason(case: Case, trust: Trust) -> None:
    poor = rescored(case, metrics={"recall": 0.61, "ap50": {"value": 0.7, "low": 0.6}, "ece": 0.01})
    assert refused(GateClosed, lambda: let_out(poor, trust)) == "recall: expected >= 0.70, found 0.61"


def test_a_verdict_that_was_not_reached_here_is_refused(case: Case, trust: Trust) -> None:
    poor = rescored(case, metrics={})
    message = refused(
        DigestMismatch,
        lambda: release(
            poor, case.judge(), approvals_of(poor, trust), pen_of("harbour"), trust=trust, now=NOW, sites=["harbour"]
        ),
    )
    assert message == (f"release plane finder: verdict: expected {poor.judge().digest}, found {case.judge().digest}")


def test_facts_about_another_model_are_refused(case: Case, trust: Trust) -> None:
    other = replace(case, facts=replace(case.facts, model=Digest.of_bytes(b"other")))
    assert refused(DigestMismatch, lambda: let_out(other, trust, approvals=[])) == (
        f"release plane finder: model: expected {MODEL.digest}, found {other.facts.model}"
    )


def test_the_author_does_not_release_on_their_own_approval(case: Case, trust: Trust) -> None:
    by_dave = replace(case, author="dave")
    approvals = approvals_of(by_dave, trust, ("anne", "bob"))
    assert refused(NotAllowed, lambda: let_out(case, trust, approvals=approvals)) == (
        "approval by anne: expected somebody other than the author, found the author"
    )


def test_two_people_are_needed(case: Case, trust: Trust) -> None:
    one = approvals_of(case, trust, ("bob",))
    assert refused(GateClosed, lambda: let_out(case, trust, approvals=one)) == (
        "approvals: expected 2 by different people as approver, found 1 (bob)"
    )
    twice = approvals_of(case, trust, ("bob", "bob"))
    assert refused(NotAllowed, lambda: let_out(case, trust, approvals=twice)) == (
        "approvals: expected different people, found bob twice"
    )


def test_only_a_site_or_an_officer_releases(case: Case, trust: Trust) -> None:
    assert let_out(case, trust, pen="olivia").release.name == "plane finder"
    assert refused(NotAllowed, lambda: let_out(case, trust, pen="bob")) == (
        "release plane finder by bob: expected a key with role site or officer, found approver"
    )
    assert refused(BadSignature, lambda: let_out(case, trust, pen="eve")).startswith(
        "signer: expected a trusted key, found key "
    )


def test_a_release_signed_by_somebody_else_does_not_hold(
    released: Released, approvals: list[Envelope], trust: Trust
) -> None:
    forged = pen_of("bob").sign(release_statement(released.release))
    message = refused(
        BadSignature, lambda: check(forged, approvals, trust=trust, now=NOW, site="harbour", model=MODEL.digest)
    )
    assert message == "release by bob: expected a key with role site or officer, found approver"


def test_validity_is_bounded_by_the_policy(case: Case, trust: Trust) -> None:
    soon = NOW + timedelta(days=30)
    assert let_out(case, trust, not_after=soon).release.expires == soon
    for end in (NOW + timedelta(days=366), NOW):
        assert refused(BadInput, lambda end=end: let_out(case, trust, not_after=end)) == (
            "release plane finder: expected an end after 2030-06-01T12:00:00Z, until 2031-06-01T12:00:00Z, "
            f"found {end:%Y-%m-%dT%H:%M:%SZ}"
        )


def test_a_release_is_for_named_sites(case: Case, trust: Trust, released: Released, approvals: list[Envelope]) -> None:
    assert refused(BadInput, lambda: let_out(case, trust, sites=())) == (
        "release plane finder: expected one or more sites, each once, found none"
    )
    message = refused(
        NotAllowed,
        lambda: check(released.envelope, approvals, trust=trust, now=NOW, site="airport", model=MODEL.digest),
    )
    assert message == "release plane finder: expected site harbour, found airport"


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (
            NOW - timedelta(days=1),
            "expected a time from 2030-06-01T12:00:00Z, found 2030-05-31T12:00:00Z: not yet valid",
        ),
        (NOW + timedelta(days=366), "expected a time until 2031-06-01T12:00:00Z, found 2031-06-02T12:00:00Z: expired"),
    ],
)
def test_outside_its_window_a_release_does_not_hold_also_when_the_clock_is_set_back(
    released: Released, approvals: list[Envelope], trust: Trust, when: datetime, message: str
) -> None:
    found = refused(
        Revoked,
        lambda: check(released.envelope, approvals, trust=trust, now=when, site="harbour", model=MODEL.digest),
    )
    assert found == f"release plane finder: {message}"


def test_other_bytes_than_the_released_model_are_refused(
    released: Released, approvals: list[Envelope], trust: Trust
) -> None:
    other = Digest.of_bytes(b"other")
    found = refused(
        DigestMismatch, lambda: check(released.envelope, approvals, trust=trust, now=NOW, site="harbour", model=other)
    )
    assert found == f"release plane finder: model: expected {MODEL.digest}, found {other}"


def test_envelopes_swapped_between_two_releases_are_refused(
    case: Case, trust: Trust, released: Released, approvals: list[Envelope]
) -> None:
    second = replace(case, dossier=Digest.of_bytes(b"second dossier"))
    others = approvals_of(second, trust)
    other = let_out(second, trust, approvals=others)
    for envelope, given in ((released.envelope, others), (other.envelope, approvals)):
        expected = read_release(envelope, trust)[0].approvals[0]
        found = refused(
            BadSignature,
            lambda envelope=envelope, given=given: check(
                envelope, given, trust=trust, now=NOW, site="harbour", model=MODEL.digest
            ),
        )
        assert found == f"release plane finder: expected approval {expected}, found none such"
    assert refused(BadSignature, lambda: let_out(second, trust, approvals=approvals)) == (
        f"approval by bob: dossier: expected {second.dossier}, found {case.dossier}"
    )
    grafted = replace(released.envelope, payload=other.envelope.payload)
    assert "ecdsa-p384 signature" in refused(
        BadSignature, lambda: check(grafted, others, trust=trust, now=NOW, site="harbour", model=MODEL.digest)
    )


def test_approvals_may_not_be_left_out_or_added(
    case: Case, released: Released, approvals: list[Envelope], trust: Trust
) -> None:
    def held(given: Sequence[Envelope]) -> Callable[[], object]:
        return lambda: check(released.envelope, given, trust=trust, now=NOW, site="harbour", model=MODEL.digest)

    assert refused(BadSignature, held(approvals[:1])) == (
        f"release plane finder: expected approval {Digest(approvals[1].hex)}, found none such"
    )
    extra = approve(case.seen(), pen_of("bob"), author="anne", reason="again", trust=trust, now=NOW)
    assert refused(BadSignature, held([*approvals, extra])) == (
        f"release plane finder: expected only the approvals it lists, found {Digest(extra.hex)}"
    )


def test_a_revoked_release_does_not_hold_however_it_is_signed_anew(
    released: Released, approvals: list[Envelope], trust: Trust
) -> None:
    later = NOW + timedelta(days=1)
    revocation = revoke(released.envelope, "wrong\nport", pen_of("olivia"), trust=trust, now=later)
    assert read_revocation(revocation, trust).release == released.digest
    signed_anew = pen_of("harbour").sign(release_statement(released.release))
    assert signed_anew != released.envelope
    for envelope in (released.envelope, signed_anew):
        found = refused(
            Revoked,
            lambda envelope=envelope: check(
                envelope,
                approvals,
                trust=trust,
                now=NOW,
                site="harbour",
                model=MODEL.digest,
                revocations=[revocation],
            ),
        )
        assert found == (
            "release plane finder: expected a release in force, "
            "found revoked by olivia on 2030-06-02T12:00:00Z: wrong\\nport"
        )


def test_a_revocation_outlives_the_key_that_signed_it(
    released: Released, approvals: list[Envelope], trust: Trust
) -> None:
    revocation = revoke(released.envelope, "withdrawn", pen_of("olivia"), trust=trust, now=NOW)
    ended = Trust(tuple(replace(key, revoked=key.name == "olivia") for key in trust.keys))
    with pytest.raises(Revoked, match="withdrawn"):
        check(
            released.envelope,
            approvals,
            trust=ended,
            now=NOW,
            site="harbour",
            model=MODEL.digest,
            revocations=[revocation],
        )


def test_a_revocation_of_another_release_changes_nothing(
    case: Case, released: Released, approvals: list[Envelope], trust: Trust
) -> None:
    second = let_out(replace(case, dossier=Digest.of_bytes(b"second dossier")), trust)
    revocation = revoke(second.envelope, "withdrawn", pen_of("harbour"), trust=trust, now=NOW)
    check(
        released.envelope,
        approvals,
        trust=trust,
        now=NOW,
        site="harbour",
        model=MODEL.digest,
        revocations=[revocation],
    )


def test_a_revocation_that_does_not_verify_is_an_error_and_not_ignored(
    released: Released, approvals: list[Envelope], trust: Trust
) -> None:
    genuine = revoke(released.envelope, "withdrawn", pen_of("olivia"), trust=trust, now=NOW)
    damaged = replace(genuine, payload=genuine.payload.replace(b"withdrawn", b"nothing!!"))
    with pytest.raises(BadSignature, match="revocation ecdsa-p384 signature"):
        check(
            released.envelope,
            approvals,
            trust=trust,
            now=NOW,
            site="harbour",
            model=MODEL.digest,
            revocations=[damaged],
        )


def test_only_a_site_or_an_officer_revokes_and_says_why(released: Released, trust: Trust) -> None:
    assert refused(NotAllowed, lambda: revoke(released.envelope, "no", pen_of("bob"), trust=trust, now=NOW)) == (
        "revocation of plane finder by bob: expected a key with role site or officer, found approver"
    )
    assert refused(BadInput, lambda: revoke(released.envelope, "", pen_of("olivia"), trust=trust, now=NOW)) == (
        "revocation reason: expected a reason, found none"
    )


def test_a_revoked_approver_key_ends_the_release_and_an_ended_one_does_not(
    released: Released, approvals: list[Envelope], trust: Trust
) -> None:
    def held_under(changed: Trust) -> None:
        later = NOW + timedelta(days=60)
        check(released.envelope, approvals, trust=changed, now=later, site="harbour", model=MODEL.digest)

    end = datetime(2030, 7, 1, tzinfo=UTC)
    held_under(Trust(tuple(replace(k, not_after=end) if k.name == "bob" else k for k in trust.keys)))
    assert refused(
        BadSignature, lambda: held_under(Trust(tuple(replace(k, revoked=k.name == "bob") for k in trust.keys)))
    ) == ("approval by bob: expected a key in force, found a revoked key")
    assert refused(
        BadSignature, lambda: held_under(Trust(tuple(replace(k, revoked=k.name == "harbour") for k in trust.keys)))
    ) == ("release plane finder by harbour: expected a key in force, found a revoked key")


def test_any_changed_byte_of_a_release_is_refused(released: Released, approvals: list[Envelope], trust: Trust) -> None:
    text = released.envelope.to_json()
    for place in range(0, len(text), 11):
        changed = bytearray(text)
        changed[place] ^= 1 << (place % 7)
        with pytest.raises(CasemateError):
            check(
                Envelope.from_json(bytes(changed)),
                approvals,
                trust=trust,
                now=NOW,
                site="harbour",
                model=MODEL.digest,
            )


def test_serving_can_check_without_anything_that_signs() -> None:
    import subprocess
    import sys

    program = "import casemate.gates.release_check, sys; sys.exit('casemate.signing.sign' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_text_of_a_release_is_as_agreed(released: Released, golden: Callable[[str, str], None]) -> None:
    fixed = replace(released.release, approvals=(Digest("aa" * 32), Digest("bb" * 32)))
    golden("gates/release.json", release_statement(fixed).to_json().decode())
