"""The dossier: one page for people, whole in itself, in two languages, that nothing hostile can turn."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from casemate.errors import BadInput
from casemate.gates.dossier import build
from casemate.gates.dossier_facts import Confusion, DataFacts, DossierFacts, Node, Shown, SignatureFacts, TrainingFacts
from casemate.gates.dossier_figures import chart, graph
from casemate.gates.dossier_limits import known_limits
from casemate.gates.dossier_words import count, figure, flat, instant, metric
from casemate.gates.judge import Facts, judge
from casemate.gates.policy import GatePolicy
from casemate.gates.scores import Figure
from casemate.gates.wording import Text
from casemate.markings import Policy
from casemate.store.digest import Digest
from tests.gates.conftest import HELD_OUT, MODEL, NOW, POLICY, TRAINED_ON, scores_with

HOSTILE = "</title><script>alert('1')</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} {% raw %}"
VOID = frozenset({"meta", "input", "br", "image", "use", "line", "path", "circle", "rect"})


def png(width: int = 8, height: int = 6) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(out, "PNG")
    return out.getvalue()


def facts(**changes: Any) -> DossierFacts:
    scores = scores_with(
        metrics={
            "recall": {"value": 0.81, "low": 0.78, "high": 0.84},
            "ap50": {"value": 0.714, "low": 0.70, "high": 0.78},
            "ece": {"value": 0.04, "low": None, "high": None},
            "ap_large": {"value": None},
            "ap50.airplane": {"value": 0.92, "low": 0.9, "high": 0.94},
            "ap50.vessel": {"value": 0.41, "low": 0.2, "high": 0.62},
        },
        robustness={"blur": {"ap50": 0.60, "drop": 0.114}, "haze": {"ap50": 0.55, "drop": 0.164}},
    )
    verdict = judge(scores, GatePolicy.from_toml(POLICY), facts=Facts(MODEL.digest, HELD_OUT, (TRAINED_ON,), 0))
    policy = Policy.shipped("fr")
    marking = policy.parse("DR//SPÉCIAL FRANCE")
    words = Text(policy.wording(marking, "en"), policy.wording(marking, "fr"))
    base = DossierFacts(
        name="harbour-detector",
        model=MODEL.digest,
        project="harbour",
        author="Jeanne Martin",
        site="port-nord",
        created=NOW,
        marking=words,
        mention=marking.level.mention,
        verdict=verdict,
        policy_name="test",
        scores=scores,
        purpose=Text("Finds vessels.", "Repère des navires."),
        data=[
            DataFacts(
                "ports", "training", TRAINED_ON, words, 1176, 12388, "Licence Ouverte 2.0", "aerial", {"vessel": 9}
            ),
            DataFacts("ports apart", "held-out", HELD_OUT, words, 12, 340),
        ],
        training=TrainingFacts(
            "fine_tune", Digest.of_bytes(b"plan"), 7, "0.1.0", "2 cores", NOW, None, {"lr": 0.002, "loss": {"gamma": 2}}
        ),
        lineage=[
            Node("t", "dataset", "ports", TRAINED_ON),
            Node("h", "dataset", "ports apart", HELD_OUT),
            Node("m", "model", "harbour-detector", MODEL.digest, ("t", "above the reader")),
            Node("r", "report", "harbour report", Digest.of_bytes(b"r"), ("m", "h")),
        ],
        pictures=[
            Shown(png(), Text("Detections.", "Détections."), "sample"),
            Shown(png(40, 10), Text("Precision over recall.", "Précision selon le rappel."), "plot"),
            Shown(png(), Text("False alarms.", "Fausses alarmes."), "confusion"),
        ],
        confusion=Confusion(("vessel",), ("vessel",), ((300, 40), (12, 0))),
        limits=[Text("Never at night.", "Jamais de nuit.")],
        files=[(file.path, file.digest) for file in MODEL.files],
    )
    return replace(base, **changes)


def signed() -> SignatureFacts:
    at = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
    return SignatureFacts("approve", "Inès Roy", "approver", "ab" * 32, at, Digest.of_bytes(b"e"), "Rappel suffisant.")


class Page(HTMLParser):
    """Reads a page strictly: what opens must close, and says what is in it."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.outline: list[str] = []
        self.texts: dict[str, str] = {"": ""}
        self.language = ""
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "article":
            self.language = str(dict(attrs)["lang"])
            self.texts[self.language] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open.pop() == tag
        if tag == "article":
            self.language = ""

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts[self.language] += data
        if self.open and self.open[-1] in {"h1", "h2", "h3", "caption", "title", "th"} and data.strip():
            self.outline.append(f"{self.language or '--'} {self.open[-1]:8}{data.strip()}")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_its_structure_is_the_golden_one(golden: Callable[[str, str], None]) -> None:
    golden("dossier-outline.txt", "\n".join(Page(build(facts(signatures=[signed()]))).outline) + "\n")


def test_the_same_facts_give_the_same_bytes() -> None:
    assert build(facts()) == build(facts())
    assert build(facts()) != build(facts(author="Somebody Else"))


def test_it_refers_to_nothing_outside_and_its_policy_forbids_it() -> None:
    data = build(facts(signatures=[signed()]))
    page = Page(data)
    assert {tag for tag, _ in page.tags} & {
        "script",
        "link",
        "iframe",
        "img",
        "object",
        "embed",
        "form",
        "base",
    } == set()
    for tag, attrs in page.tags:
        assert not any(name.startswith("on") or name in {"src", "style", "action"} for name in attrs), (tag, attrs)
        address = attrs.get("href") or "#"
        assert address.startswith(("#", "data:image/png;base64,")), (tag, address)
    assert b"://" not in data
    assert b"@import" not in data
    assert b"url(" not in data
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", data.decode(), re.DOTALL)
    assert style
    of_style = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    expected = f"default-src 'none'; img-src data:; style-src 'sha256-{of_style}'; base-uri 'none'; form-action 'none'"
    assert policy == expected


def test_every_name_and_address_in_it_leads_somewhere() -> None:
    page = Page(build(facts(signatures=[signed()])))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        wanted = [str(attrs["href"])[1:]] if str(attrs.get("href", "")).startswith("#") else []
        wanted += str(attrs.get("aria-labelledby", "")).split() + str(attrs.get("for", "")).split()
        assert set(wanted) <= set(ids)


def test_it_can_be_read_by_everybody() -> None:
    page = Page(build(facts(signatures=[signed()])))
    assert page.all("html") == [{"lang": "fr"}]
    assert [a["lang"] for a in page.all("article")] == ["fr", "en"]
    for language in ("fr", "en"):
        levels = [int(line.split()[1][1]) for line in page.outline if re.match(rf"{language} h\d", line)]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
    tables = len(page.all("table"))
    assert tables == sum(1 for line in page.outline if " caption " in line) == len(page.all("caption"))
    assert all(a.get("scope") in {"col", "row"} for a in page.all("th"))
    drawings = [a for a in page.all("svg") if a.get("class") != "store"]
    assert all(a["role"] == "img" and a["aria-labelledby"] for a in drawings)
    choices = page.all("input")
    assert [a["type"] for a in choices] == ["radio", "radio"]
    assert {str(a["for"]) for a in page.all("label")} == {str(a["id"]) for a in choices}


def test_colours_of_text_are_far_enough_from_their_ground() -> None:
    css = build(facts()).decode().partition("<style>")[2].partition("</style>")[0]
    named = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", css))

    def light(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    def contrast(a: str, b: str) -> float:
        high, low = sorted((light(a), light(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    pairs = [(named[n], named["paper"]) for n in ("ink", "soft", "accent", "good", "bad")]
    pairs += [(named["good"], named["good-ground"]), (named["bad"], named["bad-ground"]), ("#ffffff", "#7a1518")]
    assert min(contrast(a, b) for a, b in pairs) >= 4.5  # WCAG 2.1, 1.4.3


def test_the_marking_stands_at_the_top_and_at_the_bottom_in_both_languages() -> None:
    data = build(facts()).decode()
    for part in ("header", "footer"):
        banner = re.search(rf'<{part} class="marking">(.*?)</{part}>', data, re.DOTALL)
        assert banner
        assert '<span lang="fr">DIFFUSION RESTREINTE – SPÉCIAL FRANCE</span>' in banner[1]
        assert '<span lang="en">RESTRICTED DISTRIBUTION – SPECIAL FRANCE</span>' in banner[1]
    page = Page(build(facts()))
    assert "Mention de protection" in page.texts["fr"]
    assert "Mention de protection" not in Page(build(facts(mention=False))).texts["fr"]
    assert "Marquage" in Page(build(facts(mention=False))).texts["fr"]


def test_figures_are_written_as_each_language_writes_them() -> None:
    page = Page(build(facts()))
    assert "0,714" in page.texts["fr"]
    assert "0.714" not in page.texts["fr"]
    assert "0.714" in page.texts["en"]
    assert "0,700 à 0,780" in page.texts["fr"]
    assert "0.700 to 0.780" in page.texts["en"]
    assert "12\u202f388" in page.texts["fr"]
    assert "12,388" in page.texts["en"]
    assert "1er juin 2030, 12:00 UTC" in page.texts["fr"]
    assert "1 June 2030, 12:00 UTC" in page.texts["en"]
    assert "non évalué" in page.texts["fr"]
    assert (figure(-0.5, "fr", 2), figure(None, "en"), count(1234567, "en")) == ("−0,50", "not evaluated", "1,234,567")
    assert (instant(None, "fr"), metric("ap50.level.recognition", "fr")) == (
        "non précisé",
        "AP50, niveau reconnaissance",
    )
    rows = [("a.b", "1,5"), ("a.c", "oui"), ("d", "1; 2"), ("e", "non précisé")]
    assert flat({"a": {"b": 1.5, "c": True}, "d": [1, 2], "e": None}, "fr") == rows


def test_everything_on_which_a_release_rests_is_in_it() -> None:
    page = Page(build(facts(signatures=[signed()])))
    for text in (page.texts["fr"], page.texts["en"]):
        for file in MODEL.files:
            assert f"{file.digest.hex}  {file.path}\n" in text
        for expected in (
            MODEL.digest.hex, HELD_OUT.hex, TRAINED_ON.hex, "Licence Ouverte 2.0", "fine_tune", "loss.gamma",
            "Inès Roy", "ab" * 32, Digest.of_bytes(b"e").hex, "Rappel suffisant.", "casemate verify", "sha256sum -c",
        ):  # fmt: skip
            assert expected in text
        assert "above the reader" not in text
    assert "The gate's policy is met" in page.texts["en"]
    assert "harbour-detector, made from ports" in re.sub(r"\s+", " ", page.texts["en"])


def test_a_verdict_that_is_not_met_says_why_first() -> None:
    scores = scores_with(
        metrics={"recall": {"value": 0.61}, "ap50": {"value": 0.7, "low": 0.6}, "ece": {"value": 0.01}}
    )
    verdict = judge(scores, GatePolicy.from_toml(POLICY), facts=Facts(MODEL.digest, HELD_OUT, (TRAINED_ON,), 0))
    page = Page(build(facts(scores=scores, verdict=verdict)))
    assert "✗ La politique d'homologation n'est pas respectée" in page.texts["fr"]
    assert "rappel : attendu ≥ 0,70, trouvé 0,61" in page.texts["fr"]
    assert "recall: expected >= 0.70, found 0.61" in page.texts["en"]


def test_without_approvals_it_says_where_they_will_be() -> None:
    page = Page(build(facts()))
    assert "None yet. Approvers sign the digest of this very page" in page.texts["en"]
    assert "Aucune à ce stade." in page.texts["fr"]


def test_what_is_absent_is_said_to_be() -> None:
    bare = facts(data=(), training=None, lineage=(), pictures=(), confusion=None, limits=(), files=(), purpose=None)
    page = Page(build(replace(bare, scores=scores_with(robustness={}, overlap=None))))
    assert page.texts["en"].count("Not stated.") == 3
    assert page.texts["en"].count("None.") == 2
    assert "Not evaluated." in page.texts["en"]
    assert "Near-duplicates between training and held-out images were not looked for." in page.texts["en"]


def test_hostile_names_are_text_and_nothing_else() -> None:
    hostile = Text(HOSTILE, HOSTILE)
    node = Node(HOSTILE, HOSTILE, HOSTILE, Digest.of_bytes(b"n"))
    changed = facts(
        name=HOSTILE, project=HOSTILE, author=HOSTILE, site=HOSTILE, purpose=hostile, marking=hostile,
        policy_name=HOSTILE, limits=[hostile], lineage=[node], files=[(HOSTILE, HELD_OUT)],
        pictures=[Shown(png(), hostile, "sample")], confusion=Confusion((HOSTILE,), (HOSTILE,), ((1, 2), (3, 0))),
        data=[DataFacts(HOSTILE, "training", HELD_OUT, hostile, 1, 1, HOSTILE, HOSTILE, {HOSTILE: 1})],
        training=TrainingFacts(HOSTILE, HELD_OUT, 1, HOSTILE, HOSTILE, parameters={HOSTILE: HOSTILE}),
        signatures=[replace(signed(), name=HOSTILE, role=HOSTILE, keyid=HOSTILE, reason=HOSTILE)],
        scores=scores_with(metrics={HOSTILE: {"value": 0.5}}, robustness={HOSTILE: {HOSTILE: 0.1}}),
    )  # fmt: skip
    data = build(changed)
    page = Page(data)
    assert b"<script" not in data
    assert b"<img" not in data
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in Page(build(facts(signatures=[signed()]))).tags}
    assert page.texts["fr"].count(HOSTILE) >= 15


@settings(deadline=None, max_examples=25)
@given(st.text(max_size=60))
def test_any_name_can_be_read_back_from_the_page(name: str) -> None:
    kept = name.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "ignore").decode()
    page = Page(build(facts(name=kept)))
    assert kept in page.texts["en"]


def test_pictures_are_in_the_page_once_and_shown_in_both_languages() -> None:
    data = build(facts())
    page = Page(data)
    assert data.count(b"data:image/png;base64,") == 3
    assert len(page.all("use")) == 6
    plot = base64.b64encode(png(40, 10)).decode()
    assert page.all("image")[0]["href"] == "data:image/png;base64," + plot
    assert "Image 1. Précision selon le rappel." in page.texts["fr"]
    assert "Picture 2. Detections." in page.texts["en"]


def test_a_picture_that_is_no_png_is_refused() -> None:
    picture = Shown(b"\xff\xd8\xff\xe0", Text("Curve.", "Courbe."))
    with pytest.raises(BadInput, match=r"picture Curve\.: expected a PNG, found b'\\xff\\xd8\\xff\\xe0'"):
        build(facts(pictures=[picture]))


def test_a_lineage_that_goes_round_in_a_circle_is_refused() -> None:
    circle = [Node("a", "model", "a", HELD_OUT, ("b",)), Node("b", "model", "b", HELD_OUT, ("a",))]
    with pytest.raises(BadInput, match="lineage: expected no entry made from itself, found a and b"):
        build(facts(lineage=circle))


def test_a_confusion_of_another_shape_is_refused() -> None:
    with pytest.raises(BadInput, match=r"confusion: expected 2 rows of 2 counts, found 1 rows of \[2\]"):
        Confusion.from_json({"true": ["a"], "answered": ["a"], "counts": [[1, 2]]})
    with pytest.raises(BadInput, match="confusion: expected true, answered and counts, found KeyError"):
        Confusion.from_json({"true": ["a"]})
    read = Confusion.from_json({"true": ["a"], "answered": ["a"], "counts": [[1, 2], [3, 0]]})
    assert read == Confusion(("a",), ("a",), ((1, 2), (3, 0)))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.integers(0, 11), max_size=3), min_size=1, max_size=12))
def test_a_lineage_runs_from_left_to_right_and_its_boxes_do_not_touch(parents: list[list[int]]) -> None:
    nodes = [
        Node(str(i), "model", str(i), HELD_OUT, tuple(str(p) for p in set(above) if p < i))
        for i, above in enumerate(parents)
    ]
    drawn = graph(nodes)
    boxes = {box.node.id: box for box in drawn.boxes}
    assert boxes.keys() == {node.id for node in nodes}
    for node in nodes:
        assert all(boxes[parent].x < boxes[node.id].x for parent in node.made_from)
    for box in drawn.boxes:
        assert 0 <= box.x <= drawn.width - drawn.box_width
        assert 0 <= box.y <= drawn.height - drawn.box_height
    places = [(box.x, box.y) for box in drawn.boxes]
    for i, (x, y) in enumerate(places):
        assert all(x != u or abs(y - v) >= drawn.box_height for u, v in places[i + 1 :])


def test_a_chart_holds_only_what_lies_on_its_scale() -> None:
    drawn = chart({"a": Figure(0.5, 0.4, 0.6), "b": Figure(None), "c": Figure(7.0), "d": Figure(1.0)})
    assert [bar.name for bar in drawn.bars] == ["a", "d"]
    first = drawn.bars[0]
    assert first.low is not None
    assert first.high is not None
    assert first.low < first.x < first.high
    assert first.x == (drawn.ticks[0][0] + drawn.ticks[-1][0]) / 2
    assert drawn.bars[1].low is None


def test_limits_are_drawn_from_the_scores() -> None:
    said = [limit.en for limit in known_limits(facts().scores)]
    assert said == [
        "Measured on 12 images, 340 objects: few, so the intervals may still be too narrow.",
        "Not evaluated: AP, large objects.",
        "The weakest label is vessel: AP50 0.410 (0.200 to 0.620).",
        "It loses most under this change: haze, 0.164.",
    ]
    assert "perte de 0,164" in known_limits(facts().scores)[3].fr
    assert known_limits(scores_with(robustness={}))[-1].en == "Robustness was not evaluated."
