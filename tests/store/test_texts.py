"""Text out of bytes: told, not guessed; what could as well be something else is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.store import texts
from casemate.store.texts import NotTextError, decode

FRENCH = "Réunion du 3 février : l’état-major décide où créer l'œuvre « Été » à 12 € près."
ENGLISH = "It’s the ship – which ‘was’ here – for £5."


@pytest.mark.parametrize("text", [FRENCH, ENGLISH, "Le prés est à côté.", "ÉTAT-MAJOR DES ARMÉES", "où ?", "a½, 1 ½"])
@pytest.mark.parametrize(
    ("codec", "encoding", "why"),
    [
        ("utf-8", "UTF-8", ""), ("utf-8-sig", "UTF-8", "mark"), ("utf-16", "UTF-16", "mark"),
        ("utf-16-le", "UTF-16", "plausible"), ("utf-16-be", "UTF-16", "plausible"),
        ("cp1252", "Windows-1252", "plausible"),
    ],
)  # fmt: skip
def test_french_and_english_are_told_without_being_said(text: str, codec: str, encoding: str, why: str) -> None:
    decoded = decode(text.encode(codec))
    assert (decoded.text, decoded.encoding, decoded.why) == (text, encoding, why)
    assert bool(decoded.note) == (encoding != "UTF-8")


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("cp850", FRENCH.replace("œ", "oe").replace("€", "F").replace("’", "'")), ("cp850", "Le pré est près."),
        ("mac-roman", "Le pré est à côté."), ("iso8859-15", "du cœur de l'été"), ("cp1251", "Сегодня хорошая погода"),
        ("koi8-r", "Сегодня хорошая погода"), ("gbk", "今天的会议纪要"), ("shift_jis", "今日の会議の議事録"),
        ("iso8859-7", "Σήμερα έχει καλό καιρό"), ("cp1250", "żółć nie mogła być łatwa"), ("cp1254", "ışık ağır değil"),
    ],
)  # fmt: skip
def test_what_may_be_another_encoding_is_refused_and_never_mangled(codec: str, text: str) -> None:
    expected = "expected UTF-8, or text that is plausible as Windows-1252, found byte 0x"
    with pytest.raises(NotTextError, match=f"^{re.escape(expected)}.. in line 1, at byte "):
        decode(text.encode(codec))
    assert decode(text.encode(codec), codec).text == text


def test_utf_8_that_was_damaged_is_no_windows_text() -> None:
    with pytest.raises(NotTextError, match=r"found byte 0xe9 in line 2, at byte \d+, in words that are none in it"):
        decode(FRENCH.encode() + b"\ncaf\xe9")


def test_a_sign_that_is_odd_once_in_a_long_text_refuses_nothing() -> None:
    text = "une réunion à quai, " * 200 + "Mac©Do"
    assert decode(text.encode("cp1252")).text == text


@pytest.mark.parametrize(
    ("data", "said", "why"),
    [
        (b"caf\xe9", "utf-8", r"text in 'utf-8', as it says, found byte 0xe9 in line 1, at byte 3"),
        ("é".encode(), "iso-8859-1", "text in 'iso-8859-1', as it says, found UTF-8"),
        (b"\xff\xfea\0", "utf-8", "text that says one encoding, found the mark of UTF-16, and 'utf-8'"),
        (b"\xef\xbb\xbfa", "latin1", "text that says one encoding, found the mark of UTF-8, and 'latin1'"),
        (b"+AGE-", "utf-7", "an encoding that can be read, such as UTF-8 or Windows-1252, found 'utf-7'"),
        (b"a", "iso-2022-jp", "an encoding that can be read, .* found 'iso-2022-jp'"),
        (b"a", "unicode_escape", "an encoding that can be read, .* found 'unicode_escape'"),
        (b"a", "../x", r"an encoding that can be read, .* found '\.\./x'"),
        (b"a", "utf-16", "text in 'utf-16', as it says, found other bytes"),
        (b"\xff\xfe\0\0a\0\0\0", "", "text in UTF-8 or UTF-16, found the mark of UTF-32"),
        (b"\xff\xfea", "", "text in UTF-16, as its mark says, found other bytes"),
        (b"\xff\xfe\x00\xd8a\x00", "", "text in UTF-16, as its mark says, found other bytes"),
        (b"\xff\xfe\xff\xff", "", "text in UTF-16, as its mark says, found other bytes"),
        (b"\xef\xbb\xbfcaf\xe9", "", "UTF-8, as its mark says, found byte 0xe9 in line 1, at byte 6"),
        (b"caf\x81", "", "found byte 0x81 in line 1, at byte 3, which Windows-1252 does not have"),
    ],
)
def test_what_is_said_is_held_to_its_word(data: bytes, said: str, why: str) -> None:
    with pytest.raises(NotTextError, match=f"expected .*{why}"):
        decode(data, said)


def test_what_is_said_is_read_as_all_readers_read_it() -> None:
    assert decode(b"\x80 caf\xe9", "ISO-8859-1").text == "€ café"
    decoded = decode(FRENCH.encode("utf-16-be"), "UTF-16")
    assert (decoded.text, decoded.note) == (FRENCH, "text: read as UTF-16, as it says")
    assert decode(b"caf\xe9").note == "text: read as Windows-1252, which it does not say"
    assert decoded.is_in("utf-16")
    assert not decoded.is_in("utf-8")
    assert decode("é".encode()).is_in("UTF8")
    assert not decode("é".encode()).is_in("us-ascii")


def test_pages_and_xml_say_their_encoding_outside_comments() -> None:
    assert texts.said_in_html(b"<!-- <meta charset=a> --><META http-equiv=x content='text/html; charset=b'>") == "b"
    assert texts.said_in_html(b'<meta name="x"><meta charset="utf-8">') == "utf-8"
    assert texts.said_in_html(b"x" * 5000 + b"<meta charset=a>") == ""
    assert texts.said_in_xml(b"\xef\xbb\xbf<?xml version='1.0' encoding='ISO-8859-1'?><a/>") == "ISO-8859-1"
    assert texts.said_in_xml(b"<a encoding='b'/>") == ""


@given(st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"])))
def test_marked_text_is_read_as_it_was_written(text: str) -> None:
    for codec in ("utf-16", "utf-8-sig"):
        assert decode(text.encode(codec)).text in {text, text.removeprefix("\ufeff")}


@given(st.binary(max_size=400), st.sampled_from(["", "utf-8", "latin1", "utf-16", "gbk", "cp850"]))
def test_any_bytes_are_text_or_refused_and_never_replaced(data: bytes, said: str) -> None:
    try:
        decoded = decode(data, said)
    except NotTextError:
        return
    codec = {"UTF-8": "utf-8", "UTF-16": "utf-16"}.get(decoded.encoding)
    assert codec is None or "\ufffd" not in decoded.text or "\ufffd" in data.decode(codec)


@given(st.binary(max_size=5000))
def test_the_head_of_a_text_in_utf_16_is_told_as_the_text_is(data: bytes) -> None:
    head = texts.head_in_utf_8(data)
    if head is not None:
        head.decode("utf-8")


def test_a_head_that_is_cut_within_a_character_is_told() -> None:
    whole = "\ufeffé😀".encode("utf-16-le")
    assert texts.head_in_utf_8(whole[:-2]) == "é".encode()
    assert texts.head_in_utf_8(b"abc") is None
    assert texts.head_in_utf_8(b"\x89PNG\0\0\0\0") is None
