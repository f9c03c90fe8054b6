"""Packets, announcements, lists of missing blocks, layouts: what is written is read back, and nothing else is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.airlock.diode import Address, Cut, Missing
from casemate.airlock.diode.announcement import Announcement
from casemate.airlock.diode.collect import Partial, choices, source_only
from casemate.airlock.diode.layout import Layout
from casemate.airlock.diode.packet import Kind, announce, header, pack, unpack
from casemate.airlock.diode.patience import Patience
from casemate.airlock.diode.send import repair_count
from casemate.errors import BadInput
from casemate.store import Digest, Manifest, ManifestFile

SESSION = bytes(range(16))
ANNOUNCEMENT = Announcement.of(b"index" * 1000, stream_bytes=10**9, block_bytes=4096, symbol_bytes=1400)


def test_a_packet_is_read_back() -> None:
    packet = pack(header(Kind.BLOCK, SESSION, 77), b"body")
    assert unpack(memoryview(packet)) == (Kind.BLOCK, SESSION, 77, b"body")


def test_a_packet_with_any_bit_turned_or_any_length_cut_is_no_packet() -> None:
    packet = pack(header(Kind.BLOCK, SESSION, 77), b"body")
    for bit in range(len(packet) * 8):
        changed = bytearray(packet)
        changed[bit // 8] ^= 1 << bit % 8
        assert unpack(memoryview(bytes(changed))) is None
    for length in range(len(packet)):
        assert unpack(memoryview(packet[:length])) is None


def test_a_packet_of_another_format_is_no_packet() -> None:
    assert unpack(memoryview(pack(b"CMD2" + header(Kind.BLOCK, SESSION, 77)[4:], b"body"))) is None


def test_an_announcement_is_read_back_and_fits_the_smallest_link() -> None:
    packet = unpack(memoryview(announce(ANNOUNCEMENT)))
    assert packet is not None
    assert Announcement.from_bytes(packet.body) == ANNOUNCEMENT
    longest = Announcement.of(bytes(32 * 1024), stream_bytes=1, block_bytes=1024, symbol_bytes=64)
    assert len(announce(longest)) <= 1280 - 48  # what every IPv6 link carries


@pytest.mark.parametrize("fact", ["symbol_bytes", "block_bytes", "stream_bytes", "index_bytes", "index_blocks"])
def test_whoever_announces_something_else_has_another_session(fact: str) -> None:
    value = (bytes(32), *ANNOUNCEMENT.index_blocks[1:]) if fact == "index_blocks" else getattr(ANNOUNCEMENT, fact) + 8
    assert replace(ANNOUNCEMENT, **{fact: value}).session != ANNOUNCEMENT.session


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbol_bytes": 0}, "expected symbols of 64 to 8192 bytes, a multiple of 8, found 0"),
        ({"symbol_bytes": 1401}, "a multiple of 8, found 1401"),
        ({"block_bytes": 1023}, "expected blocks of 1024 to 67108864 bytes, found 1023"),
        ({"block_bytes": 1 << 31}, "expected blocks of 1024 to 67108864 bytes, found 2147483648"),
        ({"index_bytes": 0}, "expected an index of 1 to 32 blocks of 4096 bytes .*, found 0 bytes"),
        ({"index_bytes": (1 << 32) - 1}, "found 4294967295 bytes"),
        ({"index_blocks": ()}, "expected 2 digests, found 0"),
    ],
)
def test_an_announcement_of_absurd_sizes_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Announcement.from_bytes(replace(ANNOUNCEMENT, **changes).to_bytes())  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [0, 17, 19, 18 + 31, 18 + 33])
def test_an_announcement_of_a_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(BadInput, match=f"expected facts and digests, found {length} bytes"):
        Announcement.from_bytes(bytes(length))


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_list_of_missing_blocks_is_read_back(blocks: set[int]) -> None:
    missing = Missing.of(SESSION, blocks)
    assert Missing.parse(missing.to_text()) == missing
    assert set(missing.blocks(301)) == blocks
    assert missing.count(301) == len(blocks)


def test_a_list_is_short_and_may_be_written_in_capitals_and_pieces() -> None:
    missing = Missing.of(SESSION, [0, 1, 2, 3, 17])
    text = missing.to_text()
    assert text.startswith("000102030405060708090a0b0c0d0e0f:0-3,17#")
    assert Missing.parse(f" {text[:20].upper()}\n{text[20:]} \n") == missing
    assert Missing.parse(Missing(SESSION, None).to_text()) == Missing(SESSION, None)


def test_a_list_that_was_carried_over_with_a_slip_is_refused_with_the_check_that_was_expected() -> None:
    text = Missing.of(SESSION, [0, 1, 2, 3, 17]).to_text()
    with pytest.raises(BadInput, match=r"missing blocks: expected the check #[0-9a-f]{4}, found #[0-9a-f]{4}"):
        Missing.parse(text.replace("17", "71"))


@pytest.mark.parametrize("blocks", ["3-1", "1,1", "2,1", "0-5,5"])
def test_a_list_out_of_order_is_refused(blocks: str) -> None:
    from casemate.airlock.diode.missing import _check

    line = f"{SESSION.hex()}:{blocks}"
    with pytest.raises(BadInput, match="expected blocks in rising order, each once, found"):
        Missing.parse(f"{line}#{_check(line)}")


@pytest.mark.parametrize("text", ["", "all", "0-3", f"{'0' * 32}:#0000", f"{'0' * 31}:1#0000", f"{'0' * 32}:-1#0000"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="missing blocks: expected a session, a colon, blocks such as"):
        Missing.parse(text)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=30), st.integers(1024, 4096))
def test_every_byte_of_every_file_is_in_exactly_one_block(sizes: list[int], block_bytes: int) -> None:
    files = [ManifestFile(f"{number:03}", size, Digest.of_bytes(b"")) for number, size in enumerate(sizes)]
    layout = Layout(Manifest(tuple(files)), block_bytes)
    blocks = -(-sum(sizes) // block_bytes)
    segments = [segment for block in range(blocks) for segment in layout.segments(block)]
    at: dict[str, int] = {}
    for segment in segments:
        assert segment.offset == at.get(segment.file.path, 0)
        assert segment.length > 0
        at[segment.file.path] = segment.offset + segment.length
    assert at == {file.path: file.size for file in files if file.size}
    assert all(sum(s.length for s in layout.segments(block)) <= block_bytes for block in range(blocks))


def symbol(number: int, byte: int = 0) -> bytes:
    return number.to_bytes(4, "big") + bytes([byte]) * 64


def test_a_symbol_that_comes_twice_is_kept_once_and_two_that_differ_are_both_left_out() -> None:
    partial = Partial(4, 64)
    assert partial.add(symbol(1))
    assert not partial.add(symbol(1))
    assert list(partial.packets) == [1]
    assert not partial.add(symbol(1, byte=1))
    assert not partial.add(symbol(1))
    assert not partial.packets


def test_one_lie_among_symbols_is_left_out_by_one_of_the_choices() -> None:
    packets = [symbol(number) for number in range(20)]
    for lie in packets:
        assert any(lie not in choice and len(choice) >= 16 for choice in choices(packets, 16))


def test_a_block_whose_own_symbols_came_is_put_in_order() -> None:
    packets = [symbol(2, 2), symbol(0, 0), symbol(7, 7), symbol(1, 1)]
    assert source_only(packets, 3) == [bytes([number]) * 64 for number in range(3)]
    assert source_only(packets, 4) is None


def test_a_few_more_symbols_than_its_share_protect_a_small_block() -> None:
    assert repair_count(1, 0.15) == 9
    assert repair_count(1498, 0.15) == 233
    assert repair_count(1498, 0) == 0


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"overhead": -0.1}, "overhead: expected 0 to 2.0, found -0.1"),
        ({"overhead": float("nan")}, "overhead: expected 0 to 2.0, found nan"),
        ({"interleave": 0}, "interleave: expected at least 1 block, found 0"),
        ({"block_bytes": 16 << 20}, "block: expected blocks of at most 8388608 bytes and 8192 symbols, found 16777216"),
        ({"symbol_bytes": 64}, "and 8192 symbols, found 2097152 bytes of 64"),
    ],
)
def test_a_cut_that_no_receiver_would_take_is_refused(facts: dict[str, float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Cut(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("192.0.2.1:5005", "192.0.2.1:5005"), ("[2001:db8::1]:5005", "[2001:db8::1]:5005"), ("[::]:1", "[::]:1")],
)
def test_addresses_of_both_kinds_are_read(text: str, shown: str) -> None:
    assert str(Address.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "5005", "::1:5005", "192.0.2.1", "192.0.2.1:x", "192.0.2.1:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"address: expected HOST:PORT or \[IPv6\]:PORT"):
        Address.parse(text)


@pytest.mark.parametrize("text", ["receiver.example:5005", "localhost:5005", ":5005", "[fe80::1%nothing]:5005"])
def test_a_name_is_never_looked_up(text: str) -> None:
    with pytest.raises(BadInput, match="expected an IPv4 or IPv6 address in digits"):
        Address.parse(text)


def test_a_port_beyond_the_last_is_refused() -> None:
    with pytest.raises(BadInput, match="expected a port from 0 to 65535, found 65536"):
        Address.parse("192.0.2.1:65536")


def test_a_receiver_stops_when_it_has_enough_or_heard_nothing_or_is_late() -> None:
    patience = Patience(bundles=2, idle_s=30, deadline_s=100)
    assert not patience.over(whole=1, idle_s=29, elapsed_s=99)
    assert patience.over(whole=2, idle_s=0, elapsed_s=0)
    assert patience.over(whole=0, idle_s=30, elapsed_s=31)
    assert patience.over(whole=0, idle_s=0, elapsed_s=100)
    assert not patience.over(whole=0, idle_s=99, elapsed_s=99)  # nothing was heard yet
    assert Patience(first_s=60).over(whole=0, idle_s=60, elapsed_s=60)
    assert not Patience(bundles=None, deadline_s=None).over(whole=99, idle_s=0, elapsed_s=1e9)
