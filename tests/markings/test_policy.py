"""Reading markings and policies: what is accepted, how it is worded, and every refusal."""

from __future__ import annotations

import pytest

from casemate.errors import BadInput, BadMarking
from casemate.markings import Policy

FR = Policy.shipped("fr")
MINIMAL = """
name = "x"
nationality = "FRA"
[[levels]]
code = "A"
names = { en = "Low" }
"""


@pytest.mark.parametrize(
    "text", ["DR", "dr", "Diffusion Restreinte", "diffusion  restreinte", "restricted DISTRIBUTION"]
)
def test_a_level_reads_in_any_case_and_language(text: str) -> None:
    assert str(FR.parse(text)) == "DR"


@pytest.mark.parametrize("text", ["NP//SPÉCIAL FRANCE", "np//special france", "NP//SF", "NP//REL TO FRA"])
def test_special_france_is_releasability_to_france_at_any_level(text: str) -> None:
    assert str(FR.parse(text)) == "NP//REL TO FRA"


def test_french_wording_says_special_france_and_diffusion_restreinte() -> None:
    assert FR.wording(FR.parse("DR//ALPHA//SF"), "fr") == "DIFFUSION RESTREINTE – ALPHA – SPÉCIAL FRANCE"


def test_diffusion_restreinte_is_a_mention_ranked_between_np_and_secret() -> None:
    assert [(level.code, level.mention) for level in FR.levels] == [
        ("NP", False), ("DR", True), ("S", False), ("TS", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("XX", "marking XX: expected a level (NP, DR, S, TS), found 'XX'"),
        ("", "marking : expected a level (NP, DR, S, TS), found ''"),
        ("S//GAMMA", "marking S//GAMMA: expected a compartment (ALPHA, BRAVO) or a releasability, found 'GAMMA'"),
        ("S//", "marking S//: expected a compartment (ALPHA, BRAVO) or a releasability, found ''"),
        ("S//REL TO FR", "marking S//REL TO FR: expected three-letter nationalities, found 'FR'"),
        ("S//SF//REL TO DEU", "marking S//SF//REL TO DEU: expected one releasability, found two"),
        ("D\nR", "marking D\\nR: expected a level (NP, DR, S, TS), found 'D\\nR'"),
    ],
)
def test_unknown_words_are_refused_with_what_is_known(text: str, message: str) -> None:
    with pytest.raises(BadMarking) as refusal:
        FR.parse(text)
    assert str(refusal.value) == message


def test_a_clearance_without_nationality_takes_the_policys() -> None:
    assert str(FR.parse_clearance("S//BRAVO,ALPHA")) == "S//ALPHA,BRAVO//FRA"


@pytest.mark.parametrize(
    ("toml", "found"),
    [
        ("name = ", "Invalid value"),
        (MINIMAL + "surprise = 1\n", "surprise"),
        (MINIMAL.replace('"FRA"', '"France"'), "France"),
        (MINIMAL + '[[levels]]\ncode = "LOW"\nnames = {}\n', "LOW"),
        (MINIMAL + '[compartments]\n"a//b" = {}\n', "A//B"),
    ],
)  # fmt: skip
def test_a_bad_policy_is_refused_by_name(toml: str, found: str) -> None:
    with pytest.raises(BadInput, match=r"site policy: expected .*, found ") as refusal:
        Policy.from_toml(toml, source="site policy")
    assert found in str(refusal.value)


def test_an_unknown_shipped_policy_lists_the_known() -> None:
    with pytest.raises(BadMarking, match=r"expected fr or generic or nato, found \.\./\.\./x"):
        Policy.shipped("../../x")
