"""The journal: a chain that shows every change, in a form to read with `cat` and check with `sha256sum`."""

from __future__ import annotations

import hashlib
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.catalog import Head, Reader, verify
from casemate.catalog.text import canonical
from casemate.errors import BadInput, JournalBroken, NameTaken, NotAllowed, NotFound
from tests.catalog.house import POLICY, House, says, settled


def exported(house: House) -> list[str]:
    file = io.StringIO()
    house.catalog.journal.export(file)
    return file.getvalue().splitlines(keepends=True)


def story() -> tuple[list[str], Head]:
    house = settled("sqlite://")
    house.put("ports", facts={"note": "é\n\u202e"})
    house.catalog.journal.append(
        house.low, "say", "a \u2028 b", reason="pourquoi ? 🚢", sign=lambda act: {"n": len(act)}
    )
    lines, head = exported(house), house.catalog.journal.head()
    house.catalog.close()
    return lines, head


LINES, HEAD = story()


def test_the_chain_is_checked_with_sha256_alone() -> None:
    assert verify(LINES, HEAD) == HEAD
    hashes = [hashlib.sha256(line.rstrip("\n").encode()).hexdigest() for line in LINES]
    assert [json.loads(line)["previous"] for line in LINES] == ["0" * 64, *hashes[:-1]]
    assert Head(len(LINES), hashes[-1]) == HEAD


def test_every_line_is_one_line_that_a_terminal_shows_and_does_not_obey() -> None:
    assert all(line[:-1].isprintable() and line[-1] == "\n" for line in LINES)
    assert "pourquoi ? 🚢" in LINES[-1]
    assert json.loads(LINES[-1])["subject"] == "a \u2028 b"


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_changed_removed_moved_or_missing_line_is_found(data: st.DataObject) -> None:
    lines, place = list(LINES), data.draw(st.integers(0, len(LINES) - 1))
    verb = data.draw(st.sampled_from(["change", "remove", "repeat", "swap", "truncate"]))
    if verb == "change":
        values = json.loads(lines[place])
        key = data.draw(st.sampled_from(sorted(values)))
        lines[place] = canonical({**values, key: data.draw(st.text().filter(lambda text: text != values[key]))})
    elif verb == "remove":
        del lines[place]
    elif verb == "repeat":
        lines.insert(place, lines[place])
    elif verb == "swap":
        other = (place + 1) % len(lines)
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines = lines[:place]
    with pytest.raises(JournalBroken):
        verify(lines, HEAD)


def test_a_broken_chain_names_the_line_and_both_values() -> None:
    previous = hashlib.sha256(LINES[1].rstrip("\n").encode()).hexdigest()
    with says(JournalBroken, f"journal line 2: expected previous {json.loads(LINES[1])['previous']}, found {previous}"):
        verify([LINES[0], *LINES[2:]])
    with says(JournalBroken, "journal line 3: expected canonical JSON, found another form"):
        verify([*LINES[:2], LINES[2].replace('","', '", "', 1)])
    with pytest.raises(JournalBroken, match="journal line 1: expected a line of JSON"):
        verify(["rubbish"])
    with says(JournalBroken, f"journal: expected at least {len(LINES)} lines, found 2"):
        verify(LINES[:2], HEAD)
    with says(JournalBroken, f"journal line {len(LINES)}: expected {'0' * 64}, found {HEAD.hash}"):
        verify(LINES, Head(len(LINES), "0" * 64))


def test_an_older_head_still_vouches_for_the_beginning(house: House) -> None:
    before = house.catalog.journal.head()
    house.put()
    after = house.catalog.journal.verify(before)
    assert after == house.catalog.journal.head() == house.catalog.verify(before)
    assert after.count == before.count + 1


def test_an_act_is_signed_over_the_act_and_not_over_its_place_in_the_chain(house: House) -> None:
    signed: list[bytes] = []
    house.catalog.register(house.new(), by=house.low, sign=lambda act: signed.append(act) or {"sig": "x"})
    line = house.catalog.seen_by(house.low).journal().lines[0]
    assert (line.signature, line.act.to_json()) == ({"sig": "x"}, signed[0])
    assert b"previous" not in signed[0]


def test_an_act_whose_signature_fails_leaves_nothing(house: House) -> None:
    before = house.catalog.journal.head()

    def broken(_: bytes) -> dict[str, str]:
        raise RuntimeError("no pen")

    with pytest.raises(RuntimeError, match="no pen"):
        house.catalog.register(house.new(), by=house.low, sign=broken)
    assert (house.catalog.seen_by(house.low).count(), house.catalog.journal.head()) == (0, before)


def test_a_refusal_has_its_line_although_the_act_left_nothing(house: House) -> None:
    house.put()
    with pytest.raises(NameTaken) as no:
        house.put(by=house.low)
    act = house.catalog.seen_by(house.low).journal().lines[0].act
    assert (act.actor, act.verb, act.subject, act.outcome) == (
        "lea",
        "entry.register",
        "dataset harbour/ports",
        "refused",
    )
    assert (act.reason, act.marking, act.record) == (str(no.value), "DR//REL TO FRA", "")


def test_a_refusal_is_marked_as_high_as_its_words_may_be(house: House) -> None:
    """Its words may echo anything that the actor reads: those who read less do not read the refusal."""
    parent = house.put("secret", "S//ALPHA")
    with pytest.raises(Exception, match="expected at least S//ALPHA"):
        house.put("low", "DR", parents=(parent.id,))
    assert house.catalog.seen_by(house.high).journal().lines[0].act.outcome == "refused"
    assert all(line.act.outcome == "done" for line in house.catalog.seen_by(house.low).journal().lines)


def test_a_reader_sees_the_lines_that_they_may_read_without_places_or_hashes(house: House) -> None:
    low, high = house.put("low", by=house.low), house.put("high", "S")
    lines = house.catalog.seen_by(house.low).journal().lines
    assert [line.act.about for line in lines[:1]] == [low.id]
    assert high.id not in {line.act.about for line in lines}
    assert set(vars(lines[0])) == {"act", "signature"}
    assert not {"previous", "hash", "position"} & set(vars(lines[0].act))
    assert [x.act.about for x in house.catalog.seen_by(house.high).journal(about=high.id).lines] == [high.id]


def test_lines_about_peoples_records_are_for_officers_and_themselves(house: House) -> None:
    assert {x.act.verb for x in house.catalog.seen_by(house.onlooker).journal().lines} == {"project.add", "person.add"}
    own = [x.act for x in house.catalog.seen_by(house.onlooker).journal().lines if x.act.verb == "person.add"]
    assert [act.subject for act in own] == ["person rene"]
    every = [x.act.subject for x in house.catalog.seen_by(house.officer).journal().lines]
    assert {"person olga", "person hugo", "person lea", "person rene"} <= set(every)


def test_a_line_without_a_marking_is_marked_as_high_as_its_actor_reads(house: House) -> None:
    line = house.catalog.journal.append(house.high, "gate.judge", "detector", outcome="refused", reason="recall 0.61")
    assert line.act.marking == "S//ALPHA//REL TO FRA"
    session = Reader("hugo", house.high.clearance, POLICY.parse("DR"))
    assert house.catalog.journal.append(session, "gate.judge", "detector").act.marking == "DR"


def test_a_line_that_makes_no_sense_is_refused(house: House) -> None:
    journal = house.catalog.journal
    with says(BadInput, "outcome: expected done or refused, found 'maybe'"):
        journal.append(house.low, "say", "x", outcome="maybe")
    with says(BadInput, "reason: expected at most 4000 characters, found 4001 characters"):
        journal.append(house.low, "say", "x", reason="r" * 4001)
    with says(NotAllowed, "journal line: expected a marking that lea may read (DR//FRA), found S"):
        journal.append(house.low, "say", "x", marking=POLICY.parse("S"))
    with pytest.raises(BadInput, match="act: expected JSON values only"):
        journal.append(house.low, "say", "x", facts={"x": float("inf")})


def test_a_hostile_subject_is_cut_and_escaped(house: House) -> None:
    with pytest.raises(NotFound):
        house.catalog.change_run("x" * 10_000 + "\x1b[2J", by=house.low, state="done")
    line = exported(house)[-1]
    assert len(line) < 6000
    assert "\x1b" not in line


def test_every_row_is_vouched_for_by_the_journal(house: House) -> None:
    """Whoever gets past the triggers still leaves a row that no line tells of."""
    made = house.put()
    database = house.catalog._database
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER entry_no_update")
        connection.exec_driver_sql("UPDATE entry SET marking = 'NP'")
    with pytest.raises(JournalBroken) as no:
        house.catalog.verify()
    assert no.value.thing == f"dataset ports ({made.id})"


@pytest.mark.parametrize(
    ("statement", "thing"),
    [
        ("UPDATE person SET clearance = 'S//FRA' WHERE name = 'lea'", "person lea"),
        ("UPDATE person SET roles = 'officer' WHERE name = 'lea'", "person lea"),
        ("DELETE FROM member WHERE person = 'lea'", "project harbour"),
        ("UPDATE project SET marking = 'DR'", "project harbour"),
        ("INSERT INTO person VALUES ('eve', 'Eve', 'S//FRA', 'officer', NULL, '', 1)", "person eve"),
    ],
)
def test_a_record_changed_behind_the_catalog_is_named(house: House, statement: str, thing: str) -> None:
    house.put()
    with house.catalog._database.writing() as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises(JournalBroken) as no:
        house.catalog.verify()
    assert no.value.thing.startswith(thing)


def test_a_record_that_vanished_is_named(house: House) -> None:
    made = house.put()
    with house.catalog._database.writing() as connection:
        connection.exec_driver_sql("DROP TRIGGER entry_no_delete")
        connection.exec_driver_sql("DELETE FROM entry")
    with pytest.raises(JournalBroken) as no:
        house.catalog.verify()
    assert (no.value.thing, no.value.found) == (made.id, "nothing of that name or identifier")
