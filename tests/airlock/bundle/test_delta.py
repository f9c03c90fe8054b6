from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.airlock.bundle import Carried, check, objects_of, read_head, rebuild, rebuilt_path, receive, seal
from casemate.airlock.bundle.chunks import Base
from casemate.airlock.bundle.delta import Delta, delta_of
from casemate.airlock.bundle.terms import EXTENTS_MAX
from casemate.errors import DigestMismatch, NotFound
from casemate.signing import Trust
from casemate.store import Digest
from casemate.store.objects import ObjectStore
from casemate.store.posix import PosixStore
from tests.airlock.bundle.conftest import LABEL, NOW, carried, entry_of, noise, pen_of, put, sorted_stream

OLD = noise(4 << 20, "old")


def _edited(data: bytes, places: int, size: int) -> bytes:
    changed, chance = bytearray(data), random.Random(places)  # noqa: S311
    for _ in range(places):
        at = chance.randrange(len(data) - size)
        changed[at : at + size] = chance.randbytes(size)
    return bytes(changed)


CHANGES: dict[str, tuple[Callable[[], bytes], int]] = {
    "the same but for a byte": (lambda: OLD[:100_000] + b"!" + OLD[100_001:], 1_000),
    "bytes in front": (lambda: noise(5_000, "front") + OLD, 5_500),
    "bytes behind": (lambda: OLD + noise(5_000, "behind"), 5_500),
    "bytes in the middle": (lambda: OLD[: 2 << 20] + noise(5_000, "middle") + OLD[2 << 20 :], 5_500),
    "bytes left out": (lambda: OLD[: 2 << 20] + OLD[(2 << 20) + 70_000 :], 500),
    "halves swapped": (lambda: OLD[2 << 20 :] + OLD[: 2 << 20], 20_000),
    "edits in forty places": (lambda: _edited(OLD, 40, 1_000), 44_000),
    "an edit in every chunk": (lambda: _edited(OLD, 1_000, 10), 30_000),
    "cut short": (lambda: OLD[: 1 << 20], 500),
}


def _rebuilt(data: bytes, bases: list[bytes], delta: Delta) -> bytes:
    literals = iter(delta.literals)
    out = b""
    for extent in delta.extents:
        if len(extent) == 1:
            start, size = next(literals)
            assert size == extent[0]
            out += data[start : start + size]
        else:
            base, offset, size = extent
            out += bases[base][offset : offset + size]
    return out


def _delta(folder: Path, data: bytes, *bases: bytes) -> Delta | None:
    (folder / "file").write_bytes(data)
    for number, base in enumerate(bases):
        (folder / f"base{number}").write_bytes(base)
    listed = [Base(folder / f"base{number}", len(base)) for number, base in enumerate(bases)]
    return delta_of(folder / "file", Digest.of_bytes(data), listed)


@pytest.mark.parametrize("change", CHANGES)
def test_an_edit_costs_about_its_own_bytes(change: str, tmp_path: Path) -> None:
    make, most = CHANGES[change]
    delta = _delta(tmp_path, make(), OLD)
    assert delta is not None
    assert _rebuilt(make(), [OLD], delta) == make()
    assert delta.literal <= most


def test_what_has_nothing_in_common_is_no_delta(tmp_path: Path) -> None:
    assert _delta(tmp_path, noise(1 << 20, "new"), OLD) is None
    assert _delta(tmp_path, noise(1 << 20, "new"), b"") is None


def test_parts_of_two_bases_are_found(tmp_path: Path) -> None:
    other = noise(1 << 20, "other")
    data = other[: 1 << 19] + OLD[: 1 << 20]
    delta = _delta(tmp_path, data, OLD, other)
    assert delta is not None
    assert _rebuilt(data, [OLD, other], delta) == data
    assert delta.literal < 10_000


def test_very_many_edits_stay_within_the_extents_that_a_line_may_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("casemate.airlock.bundle.delta.EXTENTS_MAX", 200)
    data = _edited(OLD, 150, 4)
    delta = _delta(tmp_path, data, OLD)
    assert delta is not None
    assert len(delta.extents) <= 200 < EXTENTS_MAX
    assert _rebuilt(data, [OLD], delta) == data


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "base").write_bytes(OLD)
    expected = Digest.of_bytes(b"another")
    with pytest.raises(DigestMismatch, match=f"expected {expected}, found {Digest.of_bytes(OLD)}"):
        delta_of(tmp_path / "file", expected, [Base(tmp_path / "base", len(OLD))])


@settings(max_examples=30, deadline=None)
@given(edits=st.lists(st.tuples(st.integers(0, 256 << 10), st.integers(0, 40_000), st.integers(0, 40_000)), max_size=6))
def test_a_delta_gives_back_the_file_whatever_was_done_to_it(
    edits: list[tuple[int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = OLD[: 256 << 10]
    changed = bytearray(base)
    for at, less, more in edits:
        changed[at : at + less] = noise(more, f"{at}")
    delta = _delta(tmp_path_factory.mktemp("delta"), bytes(changed), base)
    assert delta is None or _rebuilt(bytes(changed), [base], delta) == bytes(changed)


def _send(store: ObjectStore, entry: Carried, into: Path, acknowledged: list[Digest], base: Digest | None) -> Path:
    def bases(_: Carried, path: str, digest: Digest) -> list[Digest]:
        return [base] if path == "weights.bin" and base is not None and digest != base else []

    return seal(
        store, LABEL, [entry], into, pen_of("harbour"), acknowledged=sorted_stream(acknowledged), bases=bases
    ).folder


def test_only_what_is_not_acknowledged_and_only_what_changed_travels(
    any_store: ObjectStore, target: PosixStore, trust: Trust, tmp_path: Path
) -> None:
    entry_of(any_store, tmp_path / "old", {"weights.bin": OLD, "readme": b"same"})
    new = _edited(OLD, 20, 500)
    entry = entry_of(any_store, tmp_path / "new", {"weights.bin": new, "readme": b"same"})
    base = put(target, OLD)
    folder = _send(any_store, entry, tmp_path / "out", [base, put(target, b"same")], base)
    head = read_head(folder)
    assert head.manifest.sent < 40_000
    assert head.manifest.bases == (base,)
    assert Digest.of_bytes(b"same") not in {line.digest for line in objects_of(folder)}
    assert check(folder, trust, NOW) == check(folder, trust, NOW, target)
    got = receive(folder, tmp_path / "area", head)
    rebuild(got.folder, head.manifest, target, tmp_path / "rebuilt")
    assert rebuilt_path(tmp_path / "rebuilt", Digest.of_bytes(new)).read_bytes() == new


def test_a_copy_with_no_byte_of_its_own_travels_as_a_line(
    store: PosixStore, target: PosixStore, trust: Trust, tmp_path: Path
) -> None:
    swapped = OLD[2 << 20 :] + OLD[: 2 << 20]
    base, single = put(store, OLD + swapped), put(store, swapped)
    put(target, OLD + swapped)
    sealed = seal(
        store,
        LABEL,
        [carried(single, "single")],
        tmp_path / "out",
        pen_of("harbour"),
        bases=lambda *_: [base],
    )
    assert sealed.manifest.parts == ()
    check(sealed.folder, trust, NOW, target)
    rebuild(sealed.folder, sealed.manifest, target, tmp_path / "rebuilt")
    assert rebuilt_path(tmp_path / "rebuilt", single).read_bytes() == swapped


def test_a_missing_base_is_named_with_the_object_that_needs_it(
    store: PosixStore, target: PosixStore, trust: Trust, tmp_path: Path
) -> None:
    base = put(store, OLD)
    entry = entry_of(store, tmp_path / "new", {"weights.bin": OLD + b"more"})
    folder = _send(store, entry, tmp_path / "out", [base], base)
    needs = Digest.of_bytes(OLD + b"more")
    message = f"object {needs}: expected base {base} to be in the store, found nothing"
    with pytest.raises(NotFound, match=message):
        rebuild(folder, read_head(folder).manifest, target, tmp_path / "rebuilt")
    with pytest.raises(NotFound, match=message):
        check(folder, trust, NOW, target)
    assert not list((tmp_path / "rebuilt").rglob("*/?*"))


def test_a_base_that_is_damaged_makes_no_object(store: PosixStore, target: PosixStore, tmp_path: Path) -> None:
    base = put(store, OLD)
    entry = entry_of(store, tmp_path / "new", {"weights.bin": OLD + b"more"})
    folder = _send(store, entry, tmp_path / "out", [base], base)
    put(target, OLD)
    target.path(base).chmod(0o600)
    target.path(base).write_bytes(b"X" + OLD[1:])
    with pytest.raises(DigestMismatch, match=f"object {Digest.of_bytes(OLD + b'more')}"):
        rebuild(folder, read_head(folder).manifest, target, tmp_path / "rebuilt")
    assert not rebuilt_path(tmp_path / "rebuilt", Digest.of_bytes(OLD + b"more")).exists()
    target.path(base).write_bytes(OLD[:1000])
    with pytest.raises(DigestMismatch, match=f"expected base {base} of at least .* bytes, found 1000 bytes"):
        rebuild(folder, read_head(folder).manifest, target, tmp_path / "rebuilt")


def test_a_base_that_this_store_has_not_is_not_built_on(store: PosixStore, tmp_path: Path) -> None:
    entry = entry_of(store, tmp_path / "new", {"weights.bin": OLD})
    folder = _send(store, entry, tmp_path / "out", [], Digest.of_bytes(b"never here"))
    assert read_head(folder).manifest.bases == ()
