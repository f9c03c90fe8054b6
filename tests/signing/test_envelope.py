from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput, BadSignature, CasemateError
from casemate.signing.envelope import Envelope, Signature, pae
from casemate.signing.sign import Pen
from casemate.signing.verify import P384_ORDER, verify

Pens = Callable[[str], Pen]
KIND = "application/x-test"
signatures = st.builds(Signature, st.text(max_size=20).filter(lambda t: t.isascii()), st.binary(max_size=40))
envelopes = st.builds(
    Envelope,
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
    st.binary(max_size=200),
    st.lists(signatures, max_size=3).map(tuple),
)


@given(envelopes)
@settings(deadline=None, max_examples=100)
def test_what_is_printed_is_read_back(envelope: Envelope) -> None:
    assert Envelope.from_json(envelope.to_json()) == envelope


def test_the_pae_is_the_one_of_the_dsse_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.text(st.characters(codec="utf-8")), st.binary(), st.text(st.characters(codec="utf-8")), st.binary())
@settings(deadline=None, max_examples=100)
def test_two_contents_never_share_a_pae(type_a: str, a: bytes, type_b: str, b: bytes) -> None:
    assert (pae(type_a, a) == pae(type_b, b)) == ((type_a, a) == (type_b, b))


def test_a_signed_envelope_names_its_key(pens: Pens) -> None:
    keys = [pens("bob").public, pens("anne").public]
    assert verify(pens("anne").sign_bytes(KIND, b"x"), keys, payload_type=KIND) == pens("anne").public


def test_any_changed_byte_is_refused(pens: Pens) -> None:
    pen = pens("anne")
    text = pen.sign_bytes(KIND, b"the payload").to_json()
    lattice = text.index(b'ml-dsa-65",')  # thousands of equal places: one in seven of them, another bit each time
    for place in [*range(lattice + 24), *range(lattice + 24, len(text) - 32, 7), *range(len(text) - 32, len(text))]:
        changed = bytearray(text)
        changed[place] ^= 1 << (place % 7)
        with pytest.raises(CasemateError):
            verify(Envelope.from_json(bytes(changed)), [pen.public], payload_type=KIND)


def _refused(envelope: Envelope, pens: Pens, message: str) -> None:
    with pytest.raises(BadSignature) as refusal:
        verify(envelope, [pens("anne").public, pens("bob").public], payload_type=KIND)
    assert str(refusal.value) == message


def _ids(pens: Pens, name: str) -> tuple[str, str]:
    keyid = pens(name).public.keyid[:12]
    return f"{keyid}:ecdsa-p384", f"{keyid}:ml-dsa-65"


def test_stripping_either_signature_is_refused(pens: Pens) -> None:
    envelope = pens("anne").sign_bytes(KIND, b"x")
    classic, lattice = _ids(pens, "anne")
    first, second = envelope.signatures
    _refused(
        replace(envelope, signatures=(second,)),
        pens,
        f"envelope signatures: expected an ecdsa-p384 signature, found {lattice}",
    )
    _refused(
        replace(envelope, signatures=(first,)),
        pens,
        f"envelope signatures: expected an ml-dsa-65 signature, found {classic}",
    )
    _refused(
        replace(envelope, signatures=()),
        pens,
        "envelope signatures: expected an ecdsa-p384 signature, found no signature",
    )


def test_reordering_is_refused(pens: Pens) -> None:
    envelope = pens("anne").sign_bytes(KIND, b"x")
    _refused(
        replace(envelope, signatures=envelope.signatures[::-1]),
        pens,
        "envelope signatures: expected ecdsa-p384, then ml-dsa-65, found ml-dsa-65, then ecdsa-p384",
    )


def test_a_repeated_key_id_is_refused(pens: Pens) -> None:
    envelope = pens("anne").sign_bytes(KIND, b"x")
    classic, _ = _ids(pens, "anne")
    _refused(
        replace(envelope, signatures=(*envelope.signatures, envelope.signatures[0])),
        pens,
        f"envelope signatures: expected each key id once, found {classic} twice",
    )


def test_extra_signatures_are_refused_whoever_made_them(pens: Pens) -> None:
    envelope = pens("anne").sign_bytes(KIND, b"x")
    for extra in (Signature("ab:rsa", b"x"), pens("bob").sign_bytes(KIND, b"x").signatures[0]):
        with pytest.raises(BadSignature, match="expected two signatures, found"):
            verify(
                replace(envelope, signatures=(*envelope.signatures, extra)),
                [pens("anne").public, pens("bob").public],
                payload_type=KIND,
            )


def test_halves_of_two_keys_do_not_make_one(pens: Pens) -> None:
    anne, bob = pens("anne").sign_bytes(KIND, b"x"), pens("bob").sign_bytes(KIND, b"x")
    _refused(
        replace(anne, signatures=(anne.signatures[0], bob.signatures[1])),
        pens,
        "envelope signatures: expected both signatures by one key, "
        f"found {_ids(pens, 'anne')[0]} and {_ids(pens, 'bob')[1]}",
    )


@pytest.mark.parametrize(("place", "kind"), [(0, "ecdsa-p384"), (1, "ml-dsa-65")])
def test_a_signature_borrowed_from_another_envelope_or_key_is_refused(pens: Pens, place: int, kind: str) -> None:
    envelope = pens("anne").sign_bytes(KIND, b"x")
    message = (
        f"envelope {kind} signature: expected one by key {pens('anne').public.keyid[:12]} over these bytes, "
        "found one that does not verify"
    )
    for lender, payload in (("anne", b"another"), ("bob", b"x")):
        borrowed = pens(lender).sign_bytes(KIND, payload).signatures[place].sig
        mixed = list(envelope.signatures)
        mixed[place] = Signature(mixed[place].keyid, borrowed)
        _refused(replace(envelope, signatures=tuple(mixed)), pens, message)


def test_a_respelled_ecdsa_signature_is_refused(pens: Pens) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    envelope = pens("anne").sign_bytes(KIND, b"x")
    first, second = envelope.signatures
    r, s = decode_dss_signature(first.sig)
    assert s <= P384_ORDER // 2
    respelled = Signature(first.keyid, encode_dss_signature(r, P384_ORDER - s))
    with pytest.raises(BadSignature, match="ecdsa-p384 signature"):
        verify(replace(envelope, signatures=(respelled, second)), [pens("anne").public], payload_type=KIND)


def test_an_unknown_signer_and_another_type_are_refused(pens: Pens) -> None:
    envelope = pens("eve").sign_bytes(KIND, b"x")
    _refused(envelope, pens, f"envelope signer: expected a trusted key, found key {pens('eve').public.keyid[:12]}")
    other = pens("anne").sign_bytes("text/plain", b"x")
    _refused(other, pens, f"envelope payload type: expected {KIND}, found text/plain")


def _respelled(pens: Pens, change: Callable[[str], str]) -> str:
    text = change(pens("anne").sign_bytes(KIND, b"ab").to_json().decode())
    with pytest.raises(BadInput) as refusal:
        Envelope.from_json(text.encode())
    return str(refusal.value)


def test_envelopes_have_one_spelling(pens: Pens) -> None:
    other = "envelope: expected canonical JSON, found other spacing, order of keys, repeated keys or numbers"
    assert _respelled(pens, lambda t: t + " ") == other
    assert _respelled(pens, lambda t: t + t).startswith("envelope: expected canonical JSON, found Extra data")
    assert _respelled(pens, lambda t: t.replace("{\n", '{\n "payload": "",\n', 1)) == other
    assert _respelled(pens, lambda t: json.dumps(json.loads(t))) == other
    assert _respelled(pens, lambda t: t.replace('"YWI="', '"YWI"')) == (
        "envelope payload: expected base64, found 'YWI'"
    )
    assert _respelled(pens, lambda t: t.replace('"YWI="', '"YWJ="')) == (
        "envelope payload: expected canonical base64, found 'YWJ='"
    )
    assert _respelled(pens, lambda t: t.replace('"payloadType"', '"payloadTypf"')).startswith(
        "envelope payloadType: expected a value, found none"
    )
    assert "nesting without end" in _respelled(pens, lambda _: "[" * 100_000 + "]" * 100_000)
    assert _respelled(pens, lambda _: "[" + " " * 17 * 2**20 + "]").startswith(
        "envelope: expected at most 16777216 bytes"
    )
    assert _respelled(pens, lambda _: "NaN\n").startswith("envelope: expected canonical JSON, found")
