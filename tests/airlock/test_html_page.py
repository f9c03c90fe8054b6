"""A page shows; what runs, loads or is read differently by two readers is refused."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from casemate.airlock import html_rules
from casemate.airlock.inspect import html_page
from casemate.airlock.limits import ScanLimits
from casemate.gates.dossier import build
from tests.airlock.conftest import Arrive, Inspected, picture
from tests.gates.test_dossier import HOSTILE, facts

_PAGE = "<!doctype html>\n<html lang='fr'><head><meta charset=utf-8><title>t</title></head><body>{}</body></html>\n"


def _refusals(body: str) -> list[str]:
    return [
        f"{f.rule}: expected {f.expected}, found {f.found}" for f in html_rules.check(_PAGE.format(body)) if not f.note
    ]


def _data(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def test_our_own_dossier_is_clean_whatever_it_says(arrive: Arrive, inspected: Inspected) -> None:
    pages = {"dossier.html": build(facts()), "hostile.html": build(facts(name=HOSTILE))}
    report = inspected(arrive(pages), allowed=frozenset({"html"}))
    assert [(f.path, f.type, f.findings) for f in report.files if f.findings] == []


def test_links_for_people_are_notes_with_a_count() -> None:
    page = _PAGE.format('<a href="https://example.org/">a</a>' * 3 + '<a href="mailto:a@example.org">b</a>')
    findings = html_rules.check(page)
    assert [(f.rule, f.found, f.note) for f in findings] == [
        ("link", "https://example.org/ (3 times)", True),
        ("link", "mailto:a@example.org", True),
    ]


def test_pages_of_text_tables_pictures_and_drawings_are_clean() -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M 0 0 h 5"/></svg>'
    body = (
        "<h1 id=top>1 &lt; 2 < 3</h1><!-- a note --><table><tr><td style='color: red'>x</td></tr></table>"
        f"<img src='{_data('png', picture('PNG'))}' alt=a><img src='beside/it.jpg'><a href='#top'>up</a>"
        f"<img src='{_data('svg+xml', svg)}'><svg viewBox='0 0 1 1'><circle r='1' fill='url(#g)'/></svg><br/>"
    )
    assert html_rules.check(_PAGE.format(body)) == []


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ("<script>alert(1)</script>", "element: expected elements that only show, found <script>"),
        ("<SCRIPT src=x></SCRIPT>", "element: expected elements that only show, found <script>"),
        ("<iframe></iframe>", "found <iframe>"),
        ("<object></object>", "found <object>"),
        ("<embed>", "found <embed>"),
        ("<form></form>", "found <form>"),
        ("<base href='x'>", "found <base>"),
        ("<noscript><p title='</noscript>'></noscript>", "markup: expected plain tags that every reader cuts alike"),
        ("<math></math>", "found <math>"),
        ("<svg><foreignObject></foreignObject></svg>", "found <foreignobject>"),
        ("<svg><animate attributeName=href values=x /></svg>", "found <animate>"),
        ("<x-y></x-y>", "found <x-y>"),
        ("<input type=password>", "element: expected choices only, as there is no form, found <input type='password'>"),
        ("<input>", "found <input type='text'>"),
        ("<p onclick=x>", "attribute: expected attributes that only show, found onclick in <p>"),
        ("<p OnMouseOver='x'>", "found onmouseover in <p>"),
        ("<svg onload=x></svg>", "found onload in <svg>"),
        ("<a href='javascript:x'>", "reference: expected the page itself, files beside it and pictures that it holds"),
        ("<a href=' jAva&Tab;scri&#10;pt&colon;x'>", "found href='jAvascript:x' in <a>"),
        ("<a href='&#x01;javascript:x'>", "found href='javascript:x' in <a>"),
        ("<a href='vbscript:x'>", "found href='vbscript:x' in <a>"),
        ("<a href='data:text/html,x'>", "found href='data:text/html,x' in <a>"),
        ("<a href='file:///etc/passwd'>", "found href='file:///etc/passwd' in <a>"),
        ("<a href='//host/x'>", "found href='//host/x' in <a>"),
        ("<a href='\\\\host\\x'>", "found href='//host/x' in <a>"),
        ("<a href='../../x'>", "found href='../../x' in <a>"),
        ("<a href='%2e%2e/x'>", "found href='%2e%2e/x' in <a>"),
        ("<p title='javascript:x'>", "attribute: expected no address that acts, found title='javascript:x' in <p>"),
        ("<a href=x href=y>", "attribute: expected each attribute once, found one twice in <a>"),
        ("<a ping=x>", "found ping in <a>"),
        ("<img src='https://host/x.png'>", "found src='https://host/x.png' in <img>"),
        ("<img srcset='a.png 1x, http://host/x.png 2x'>", "found srcset='http://host/x.png' in <img>"),
        ("<img src='data:image/png;base64,AAAA'>", "found src='data:image/png;base64,AAAA, which is unknown binary'"),
        ("<img src='data:image/png;base64,A'>", "which is not base64' in <img>"),
        ("<img src='data:text/html;base64,AAAA'>", "found src='data:text/html;base64,AAAA' in <img>"),
        ("<svg><use href='http://host/#a'/></svg>", "found href='http://host/#a' in <use>"),
        ("<svg><image xlink:href='//host/a'/></svg>", "found xlink:href='//host/a' in <image>"),
        ("<svg><path fill='url(http://host/#a)'/></svg>", "found url='http://host/#a' in <style>"),
        (
            "<link rel=stylesheet href=a.css>",
            "reference: expected a page that loads nothing, found <link rel='stylesheet'>",
        ),
        ("<link rel='canonical preload' href='https://a'>", "found <link rel='canonical preload'>"),
        ("<style>@import 'a.css';</style>", "style: expected styles that load nothing, found @import"),
        ("<style>@\\69mport 'a';</style>", "found @import"),
        ("<style>@im/**/port 'a'; a { b: u\\72l(//host/x) }</style>", "found url='//host/x' in <style>"),
        ("<p style='background: url(\"http://host/a\")'>", "found url='http://host/a' in <style>"),
        ("<p style='width: expression(x)'>", "found expression("),
        ("<style>a { background: image-set('x' 1x) }</style>", "found image-set("),
        ("<style>a<b</style>", "markup: expected plain tags that every reader cuts alike, found '<b</style>"),
        ("<style/>@import 'a'</style>", "markup: expected a <style> with an end, found <style/>"),
        ("<meta http-equiv=refresh content='0;url=x'>", "element: expected meta http-equiv of"),
        ("<meta charset=utf-7>", "text: expected UTF-8, found a page that says it is 'utf-7'"),
        (
            "<meta http-equiv=content-type content='text/html; charset=iso-2022-jp'>",
            "a page that says it is 'iso-2022-jp'",
        ),
    ],
)
def test_what_runs_or_loads_is_refused(body: str, refusal: str) -> None:
    assert any(refusal in found for found in _refusals(body)), _refusals(body)


@pytest.mark.parametrize(
    "body",
    [
        "<!-- --!><script>alert(1)</script> -->",
        "<!--><script>alert(1)</script>-->",
        "<!---><script>alert(1)</script>-->",
        "<title><!--</title><script>alert(1)</script>-->",
        '<p title="</p><script>alert(1)</script>">',
        "<img/src=x/onerror=alert(1)>",
        "<p title='x'onclick='y'>",
        '<p title=x"y>',
        '<p title="unclosed>',
        "</p onclick=x>",
        "<![CDATA[<script>x</script>]]>",
        "<?php x ?>",
        "</ script>",
        "<!ENTITY a 'b'>",
        "<p",
    ],
)
def test_what_two_readers_cut_differently_is_refused(body: str) -> None:
    assert "markup: expected plain tags that every reader cuts alike, found" in _refusals(body)[0]


def test_drawings_are_held_to_the_same_rules() -> None:
    for svg, refusal in (
        ("<svg><script>x</script></svg>", "found <script>"),
        ("<svg onload='x'></svg>", "found onload in <svg>"),
        ("<!DOCTYPE svg [<!ENTITY a 'b'>]><svg></svg>", "markup: expected plain tags"),
        (f"<svg><image href='{_data('svg+xml', b'<svg/>')}'/></svg>", "a drawing that holds no other drawing"),
    ):
        found = _refusals(f"<img src='{_data('svg+xml', svg.encode())}'>")
        assert any(refusal in one for one in found), (svg, found)


def test_a_page_of_many_tags_is_read_in_the_time_that_it_takes_to_read_it(tmp_path: Path) -> None:
    """The inputs that make a careless pattern take forever."""
    for text in ("<p " + "a " * 200_000, "<p a='" * 100_000, "<!--" * 100_000, "</p " * 100_000, "<!-- -" * 100_000):
        file = tmp_path / "page.html"
        file.write_text("<html>" + text)
        assert html_page.scan(file, "html", ScanLimits())[0].rule == "markup"
