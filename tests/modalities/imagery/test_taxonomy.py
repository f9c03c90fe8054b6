"""A taxonomy is one tree, read strictly, in an order that stays."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.modalities.imagery.taxonomy import Node, Taxonomy, fold, shipped_taxonomies

OVERHEAD = Taxonomy.shipped("overhead")


@st.composite
def taxonomies(draw: st.DrawFn) -> Taxonomy:
    words = st.text(st.characters(categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=8)
    names = draw(st.lists(words, min_size=1, max_size=12, unique_by=fold))
    taken = {fold(n) for n in names}
    nodes = []
    for i, name in enumerate(names):
        aliases = tuple(a for a in draw(st.lists(st.text(max_size=10), max_size=2)) if fold(a) and fold(a) not in taken)
        aliases = tuple({fold(a): a for a in aliases}.values())
        taken |= {fold(a) for a in aliases}
        gsd = draw(st.none() | st.floats(0.01, 1000))
        french = draw(st.dictionaries(st.sampled_from(["fr", "en"]), st.text(max_size=8), max_size=2))
        parent = None if i == 0 else names[draw(st.integers(0, i - 1))]
        nodes.append(Node(name, parent, aliases, gsd, tuple(sorted(french.items()))))
    return Taxonomy(draw(st.text(min_size=1, max_size=20)), tuple(draw(st.permutations(nodes))))


@settings(deadline=None, max_examples=100)
@given(taxonomies())
def test_parse_after_print_is_the_identity(taxonomy: Taxonomy) -> None:
    assert Taxonomy.from_json(taxonomy.to_json()) == taxonomy
    assert Taxonomy.from_toml(taxonomy.to_toml()) == taxonomy


@settings(deadline=None, max_examples=50)
@given(taxonomies())
def test_parents_come_before_children_and_paths_lead_from_the_root(taxonomy: Taxonomy) -> None:
    for name in taxonomy.names:
        path = taxonomy.path(name)
        assert path[0] == taxonomy.root
        assert path[-1] == name
        assert [taxonomy.index(step) for step in path] == sorted(taxonomy.index(step) for step in path)
        assert taxonomy.depth(name) == len(path) - 1
        assert name in taxonomy.descendants(path[0])
        assert all(taxonomy.is_a(name, step) and name in taxonomy.descendants(step) for step in path)


@settings(deadline=None, max_examples=50)
@given(taxonomies(), st.data())
def test_what_is_covered_is_closed_downwards_and_grows_with_what_is_labelled(t: Taxonomy, data: st.DataObject) -> None:
    few = data.draw(st.sets(st.sampled_from(t.names)))
    more = few | data.draw(st.sets(st.sampled_from(t.names)))
    covered = t.covered(few)
    assert few <= covered <= t.covered(more)
    assert all(set(t.descendants(name)) <= covered for name in covered)


def test_the_shipped_taxonomy_answers_the_words_that_sets_use() -> None:
    assert shipped_taxonomies() == ["overhead"]
    assert OVERHEAD.root == "object"
    words = {"plane": "airplane", "Aircrafts": "aircraft", "Tree": "tree", "Ship": "vessel", "small-vehicle": "car"}
    assert {word: OVERHEAD.resolve(word) for word in words} == words
    assert OVERHEAD.path("bus") == ("object", "vehicle", "bus")
    assert OVERHEAD.path("dead tree") == ("object", "vegetation", "tree", "dead tree")
    assert OVERHEAD.node("airplane").wording("fr") == "avion"
    assert OVERHEAD.node("airplane").wording("de") == "airplane"


def test_a_limit_of_resolution_is_the_nodes_own_or_its_nearest_ancestors() -> None:
    assert OVERHEAD.max_gsd_m("car") == 0.5
    assert OVERHEAD.max_gsd_m("object") is None
    tree = Taxonomy("t", (Node("a", max_gsd_m=2.0), Node("b", "a"), Node("c", "b", max_gsd_m=0.5)))
    assert [tree.max_gsd_m(n) for n in "abc"] == [2.0, 2.0, 0.5]
    assert all(
        (OVERHEAD.max_gsd_m(n) or 0) <= (OVERHEAD.max_gsd_m(OVERHEAD.parent(n) or "object") or 99)
        for n in OVERHEAD.names
    )


def test_a_parent_is_covered_when_all_of_its_several_kinds_are() -> None:
    assert OVERHEAD.covered(["alive tree", "dead tree"]) == {"tree", "alive tree", "dead tree"}
    assert OVERHEAD.covered(["airplane"]) == {"airplane"}
    assert OVERHEAD.covered(["aircraft"]) == {"aircraft", "airplane", "helicopter"}


def test_a_restricted_taxonomy_keeps_what_leads_to_its_nodes() -> None:
    assert OVERHEAD.restricted(["airplane", "bus"]).names == ("object", "aircraft", "airplane", "vehicle", "bus")
    assert OVERHEAD.common("bus", "car") == "vehicle"
    assert OVERHEAD.common("bus", "tree") == "object"
    assert OVERHEAD.common("bus", "vehicle") == "vehicle"


def test_an_unknown_class_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match=r"class 'zeppelin': expected one of object, aircraft, .*dead tree, found 'zepp"):
        OVERHEAD.resolve("zeppelin")
    with pytest.raises(BadInput, match="class 'plane': expected one of object"):
        OVERHEAD.node("plane")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 3", "taxonomy: expected a taxonomy: a name and its nodes, found name"),
        ("name = ", "taxonomy: expected a taxonomy in TOML, found"),
        ("name = 't'\nnodes = []", "found nodes: List should have at least 1"),
        ("name = 't'\n[[nodes]]\nname = 'a'\ncolour = 'red'", "found nodes.0.colour: Extra inputs"),
        ("name = 't'\n[[nodes]]\nname = 'a'\n[[nodes]]\nname = 'b'", r"expected one root .*, found 'a', 'b'"),
        ("name = 't'\n[[nodes]]\nname = 'a'\nparent = 'a'", r"expected one root .*, found none"),
        (
            "name = 't'\n[[nodes]]\nname = 'a'\n[[nodes]]\nname = 'b'\nparent = 'x'",
            "descend from the root once, found 'b'",
        ),
        (
            "name='t'\n[[nodes]]\nname='a'\n[[nodes]]\nname='b'\nparent='c'\n[[nodes]]\nname='c'\nparent='b'",
            "descend from the root once, found 'b'",
        ),
        (
            "name = 't'\n[[nodes]]\nname = 'a'\n[[nodes]]\nname = 'b'\nparent = 'a'\naliases = ['A']",
            "expected 'A' to mean one node, found a and b",
        ),
        ("name = 't'\n[[nodes]]\nname = 'a\\nb'", "expected a name of 1 to 64 letters"),
        ("name = 't'\n[[nodes]]\nname = 'a'\nmax_gsd_m = -1.0", "expected max_gsd_m above 0, found -1.0"),
        ("name = 't'\n[[nodes]]\nname = 'a'\nmax_gsd_m = nan", "expected max_gsd_m above 0, found nan"),
    ],
)
def test_what_is_no_tree_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Taxonomy.from_toml(text)


def test_a_node_named_twice_is_refused() -> None:
    with pytest.raises(BadInput, match=re.escape("taxonomy t: expected every node to descend from the root once")):
        Taxonomy("t", (Node("a"), Node("b", "a"), Node("b", "a"), Node("c", "b")))


def test_json_text_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match=r"model\.json: expected a taxonomy in JSON, found"):
        Taxonomy.from_json("{", source="model.json")
    assert Taxonomy.from_json('{"name": "t", "nodes": [{"name": "a"}]}').names == ("a",)


def test_an_unknown_shipped_taxonomy_names_those_that_there_are() -> None:
    with pytest.raises(BadInput, match=r"taxonomy \.\./x: expected overhead, found '\.\./x'"):
        Taxonomy.shipped("../x")
