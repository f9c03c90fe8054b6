"""The lines of a transcript or of minutes already written: who says what, and what stands under which heading.

Rules. A line is "[time] speaker: text", in any of the usual ways (also WebVTT and SRT), with or without a blank before
the colon, as French has it; lines are numbered from 1 as they stand in the file. What minutes begin lines with
("Présents :", "Excusés :", "Décision n° 3 :", "Ordre du jour :") is nobody's name: the words are a list, French and
English. A heading with nothing after its colon holds for the lines that follow, up to an empty one. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from casemate.errors import BadInput
from casemate.serving.answers.facts import folded
from casemate.serving.answers.hostile import clean

MAX_CHARACTERS = 2_000_000
PRESENT, ABSENT, DECISION, ACTION, OTHER = "present", "absent", "decision", "action", "other"

_TIME = r"(?:\d{1,2}:)?\d{1,2}:\d{2}(?:[.,]\d{1,3})?"
_SPOKEN = re.compile(
    # Possessive where blanks meet blanks: a line of little else would be read in too many ways.
    rf"^\s*+(?:[\[(]?(?P<time>{_TIME})[\])]?\s*+[-–—]?+\s*+)?(?:<v\s++(?P<voice>[^>\n]{{1,60}})>|"
    rf"(?P<speaker>[^\W\d_][\w .'’-]{{0,40}}?)\s*+(?:[\[(](?P<after>{_TIME})[\])])?+\s*+[:：])\s*+(?P<text>\S.*)$"
)
_CUE = re.compile(rf"^\s*(?P<time>{_TIME})\s*-->\s*{_TIME}")
_BARE = re.compile(rf"^\s*[\[(]?(?P<time>{_TIME})[\])]?\s+(?P<text>\S.*)$")
_BULLET = re.compile(r"^\s*+(?:[-–—•▪*]++\s++|\d{1,2}[.)]\s++)")
_HEADING = re.compile(
    r"^\W{0,8}?(?P<label>[^\W\d_][^:：\n]{1,40}?)\s*+[*_]{0,2}\s*+[:：]\s*+[*_]{0,2}\s*+(?P<text>.*)$"
)
_NUMBER = re.compile(r"\s*(?:n[°ºo.]?\s*)?\d{1,3}$|\((?:e|s|es|e\)?s)\)")
_WORDS = {
    word: kind
    for kind, listed in {
        PRESENT: "presents|presentes|present|presente|membres presents|etaient presents|sont presents|participants|"
        "participantes|personnes presentes|attendees|attending|in attendance|those present|members present",
        ABSENT: "absents|absentes|absent|absente|excuses|excusees|excuse|excusee|absents excuses|absences|"
        "absents et excuses|membres absents|apologies|apologies for absence|regrets|excused|members absent",
        DECISION: "decision|decisions|resolution|resolutions|releve de decisions|releve des decisions|decisions prises|"
        "decision prise|decisions taken|decision taken|resolved|agreed",
        ACTION: "action|actions|a faire|actions a mener|actions a engager|points d'action|action items|action item|"
        "action points|todo|to do|suites a donner|taches",
        OTHER: "ordre du jour|date|lieu|objet|heure|horaire|duree|secretaire de seance|president de seance|"
        "presidente de seance|redacteur|redactrice|diffusion|destinataires|prochaine reunion|prochaine seance|note|"
        "remarque|remarques|rappel|compte rendu|compte-rendu|proces-verbal|reunion|points divers|questions diverses|"
        "annexe|annexes|reference|references|agenda|location|place|subject|time|next meeting|minutes|meeting|"
        "minutes taken by|distribution|any other business|notes",
    }.items()
    for word in listed.split("|")
}
_BETWEEN_NAMES = re.compile(r"\s*[,;]\s*|\s+(?:et|and|&)\s+")
_ASIDE = re.compile(r"\s*[(\[][^()\[\]]{0,200}[)\]]")
_LONGEST_NAME, _MOST_NAMES = 60, 200


@dataclass(frozen=True)
class Line:
    """What one person said, or what stands under a heading (`kind`), with its number in the file."""

    number: int
    time: str
    speaker: str
    text: str
    kind: str = ""


def transcript(text: str) -> list[Line]:
    """The lines of a transcript; a line without a speaker goes on with the one before. BadInput if nobody speaks."""
    if len(text) > MAX_CHARACTERS:
        raise BadInput("transcript", expected=f"at most {MAX_CHARACTERS} characters", found=len(text))
    found = list(_lines(clean(text)[0]))
    if not any(line.speaker or line.kind for line in found):
        raise BadInput("transcript", expected="lines as “speaker: text”, with or without times", found="none")
    return found


def participants(lines: list[Line]) -> tuple[str, ...]:
    """Who took part: those that minutes name as present, then those who speak, each once."""
    named = [name for line in lines if line.kind == PRESENT for name in _names(line.text)]
    speaking = [line.speaker for line in lines if line.speaker]
    found: dict[str, str] = {}
    for name in [*named[:_MOST_NAMES], *speaking]:
        found.setdefault(folded(name), name)
    return tuple(found.values())


def _lines(text: str) -> Iterator[Line]:
    time = speaker = section = ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line:
            section = ""
        elif cue := _CUE.match(line):
            time = cue["time"]
        elif heading := _heading(line):
            kind, said = heading
            section, speaker = ("" if said else kind), ""
            if said:
                yield Line(number, time, "", said, kind)
        elif spoken := _SPOKEN.match(_BULLET.sub("", line) if section else line):
            speaker = (spoken["voice"] or spoken["speaker"]).strip()
            yield Line(number, spoken["time"] or spoken["after"] or time, speaker, spoken["text"].strip(), section)
        elif not line.isdecimal() and line != "WEBVTT":
            bare = _BARE.match(line)
            said = _BULLET.sub("", line) if section else bare["text"] if bare else line
            yield Line(number, bare["time"] if bare else time, "" if section else speaker, said, section)


def _heading(line: str) -> tuple[str, str] | None:
    """The kind of a heading and what stands after its colon; None for a line that begins with none."""
    bare = _BARE.match(line)
    match = _HEADING.match(bare["text"] if bare else line)
    if match is None:
        return None
    kind = _WORDS.get(" ".join(_NUMBER.sub("", folded(match["label"]).replace("’", "'")).split()))
    return None if kind is None else (kind, match["text"].strip())


def _names(text: str) -> Iterator[str]:
    for part in _BETWEEN_NAMES.split(_ASIDE.sub("", text)):
        name = part.strip(" .\u00a0\u202f*-–—•")
        if name and len(name) <= _LONGEST_NAME:
            yield name
