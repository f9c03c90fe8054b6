"""Reading, checking, keeping and comparing language data sets.

Rules. What `read` returns may be trusted: every record was parsed and checked (`records`), and an error names file and
line. A set is of one kind: texts (`*.jsonl` with "text", or `*.txt`), conversations (`*.jsonl` with "messages"), an
evaluation set (`questions.jsonl`, with `documents.jsonl` beside it), attacks (`attacks.jsonl`), or pictures of print
(`pages.jsonl`, with the PNG and JPEG files that it names and no others). A file that no rule reads is refused, except
papers that go with a set (README, LICENSE, SOURCE..., pack.json): those are left out with a note. The canonical file,
casemate-language.json, says what was read: `save_labels` writes it, `load_labels` reads the set by it and finds the
same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.language import lines, records, tongues
from casemate.modalities.language.canonical import CANONICAL, Listed, list_set, save_labels
from casemate.modalities.language.corpus import (
    Attack,
    Conversation,
    Kind,
    LanguageDataset,
    Page,
    Question,
    SourceFile,
    Text,
)
from casemate.modalities.language.duplicates import Fingerprints, fingerprints, near_duplicates, overlap
from casemate.store.cores import Progress

__all__ = [
    "CANONICAL",
    "Attack",
    "Conversation",
    "Fingerprints",
    "LanguageDataset",
    "Page",
    "Question",
    "Text",
    "facts",
    "fingerprints",
    "load_labels",
    "near_duplicates",
    "overlap",
    "read",
    "save_labels",
    "taxonomy_of",
]

MOST_RECORDS = 20_000_000
_PAPERS = ("readme", "license", "licence", "source", "notice", "model_licenses", "pack.json")
_NAMED = {"questions.jsonl": records.QUESTIONS, "attacks.jsonl": records.ATTACKS, "pages.jsonl": records.PAGES}
_KIND_OF: Mapping[str, Kind] = {
    records.TEXT: "text",
    records.CHAT: "chat",
    records.QUESTIONS: "questions",
    records.ATTACKS: "attacks",
    records.PAGES: "pages",
}


def read(
    folder: Path,
    *,
    taxonomy: object | None = None,
    rename: Mapping[str, str] | None = None,
    exhaustive: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> LanguageDataset:
    """A folder's texts, conversations, questions or attacks, checked; languages found where no record says its own.

    `taxonomy`, `rename` and `exhaustive` are for labelled sets: there are no classes here, and they are refused.
    """
    for name, given in (("taxonomy", taxonomy), ("rename", rename), ("exhaustive", exhaustive)):
        if given:
            raise BadInput(f"language data, {name}", expected="none: there are no classes", found="one")
    if (folder / CANONICAL).is_file():
        return load_labels(folder, progress=progress)
    papers, sources = _sorted_out(folder)
    notes = [f"{path} goes with the set and is left out" for path in papers]
    return _set(folder, [(path, _records_of(folder, path)) for path in sources], notes, progress)


def load_labels(folder: Path, *, progress: Progress | None = None) -> LanguageDataset:
    """The set that the canonical file in `folder` lists; its files are read again, and must hold what it says."""
    listed = list_set(folder)
    found = _set(folder, [(file.path, file.records) for file in listed.files], list(listed.notes), progress, listed)
    if (found.kind, found.files) != (listed.kind, listed.files):
        raise BadInput(CANONICAL, expected=f"{listed.kind}: {_told(listed.files)}", found=_told(found.files))
    return found


def facts(dataset: LanguageDataset) -> dict[str, Any]:
    """What the catalog says about a set: kind, counts, characters, words, languages, what was left out."""
    texts = [text for _, text in dataset.contents()]
    return {
        "label_format": dataset.kind,
        "documents": len(dataset.texts),
        "conversations": len(dataset.conversations),
        "turns": sum(len(c.turns) for c in dataset.conversations),
        "questions": len(dataset.questions),
        "attacks": len(dataset.attacks),
        "pages": len(dataset.pages),
        "characters": sum(map(len, texts)),
        "words": sum(len(text.split()) for text in texts),
        "languages": dict(dataset.languages),
        "notes": list(dataset.notes),
    }


def taxonomy_of(file: Path) -> Any:
    """Refused: language data have no classes."""
    raise BadInput(file.name, expected="no taxonomy: language data have no classes", found="one")


def _sorted_out(folder: Path) -> tuple[list[str], list[str]]:
    """Papers that go with a set, and the files that are read; anything else is refused."""
    papers, sources = [], []
    pictured = (folder / "pages.jsonl").is_file()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        path = file.relative_to(folder).as_posix()
        if file.name.lower().startswith(_PAPERS):
            papers.append(path)
        elif file.suffix.lower() in {".jsonl", ".txt"}:
            sources.append(path)
        elif pictured and file.suffix.lower() in records.IMAGES:
            continue  # held against the pages that name them, below
        else:
            expected = "*.jsonl or *.txt (and README, LICENSE, SOURCE)"
            raise BadInput(path, expected=expected, found=file.suffix or "no ending")
    if not sources:
        raise BadInput(folder.name, expected="at least one *.jsonl or *.txt file", found="none")
    return papers, sources


def _records_of(folder: Path, path: str) -> str:
    """What the records of a file are: by its name, else by the keys of its first line."""
    if path.endswith(".txt"):
        return records.TEXT
    name = Path(path).name
    if name in _NAMED:
        return _NAMED[name]
    _, first = next(lines.json_lines(folder, path), ("", {}))
    if not first:
        raise BadInput(path, expected="at least one line of JSON", found="none")
    for key, found in (("messages", records.CHAT), ("text", records.TEXT)):
        if key in first:
            return found
    expected = 'lines with "messages" (chat) or "text" (or the names questions.jsonl, attacks.jsonl)'
    raise BadInput(f"{path}:1", expected=expected, found=f"the keys {', '.join(sorted(first))[:100]}")


def _set(
    folder: Path,
    named: list[tuple[str, str]],
    notes: list[str],
    progress: Progress | None,
    listed: Listed | None = None,
) -> LanguageDataset:
    kind = _one_kind(folder, named)
    found: dict[str, list[Any]] = {name: [] for name in records.PARSERS}
    files, unread = [], set()
    for done, (path, what) in enumerate(named, 1):
        values, others = _values(folder, path, what)
        found[what] += values
        unread |= others
        files.append(SourceFile(path, what, len(values)))
        if sum(map(len, found.values())) > MOST_RECORDS:
            raise BadInput(folder.name, expected=f"at most {MOST_RECORDS} records", found="more")
        if progress:
            progress(done, len(named), "files")
    for what, values in found.items():
        _require_unique(values, what)
    _require_documents(found)
    _require_images(folder, found[records.PAGES])
    dataset = LanguageDataset(
        folder, kind, tuple(files), tuple(found[records.TEXT]), tuple(found[records.CHAT]),
        tuple(found[records.QUESTIONS]), tuple(found[records.ATTACKS]), tuple(found[records.PAGES]),
    )  # fmt: skip
    if listed is None:
        notes = [*notes, *_notes(dataset, unread)]
    languages = tongues.count(dataset) if listed is None else listed.languages
    return LanguageDataset(**{**vars(dataset), "languages": languages, "notes": tuple(notes)})


def _one_kind(folder: Path, named: list[tuple[str, str]]) -> Kind:
    """The set's one kind; texts beside questions are their documents."""
    found = {what for _, what in named}
    if records.QUESTIONS in found:
        found -= {records.TEXT}
    if len(found) != 1:
        listed = " and ".join(f"{what} ({next(p for p, w in named if w == what)})" for what in sorted(found))
        raise BadInput(folder.name, expected="one kind of records", found=listed)
    return _KIND_OF[found.pop()]


def _values(folder: Path, path: str, what: str) -> tuple[list[Any], set[str]]:
    """The values of a file, and the keys in it that nobody reads."""
    if path.endswith(".txt"):
        text = lines.whole_text(folder, path)
        if not text.strip():
            raise BadInput(path, expected="a text that is not empty", found="nothing but white space")
        return [Text(path, text)], set()
    parse, known = records.PARSERS[what], records.READ_KEYS.get(what)
    values, unread = [], set()
    for where, raw in lines.json_lines(folder, path):
        values.append(parse(raw, where))
        unread |= raw.keys() - known if known is not None else set()
    if not values:
        raise BadInput(path, expected="at least one line of JSON", found="none")
    return values, unread


def _require_unique(values: list[Any], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value.id in seen:
            raise BadInput(f"id {value.id}", expected=f"{what} with each id once", found="twice")
        seen.add(value.id)


def _require_documents(found: Mapping[str, list[Any]]) -> None:
    """A question that names a document names one that is there."""
    ids = {text.id for text in found[records.TEXT]}
    for question in found[records.QUESTIONS]:
        if question.document is not None and question.document not in ids:
            thing = f"document of question {question.id}"
            raise BadInput(thing, expected="the id of a text of the set", found=question.document)


def _require_images(folder: Path, pages: list[Page]) -> None:
    """The pictures of a set are those that its pages name."""
    named = {page.image for page in pages}
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix.lower() in records.IMAGES}
    for image in sorted(named ^ there) if pages else ():
        expected, seen = ("a picture", "none") if image in named else ("a picture that a page names", "another")
        raise BadInput(image, expected=expected, found=seen)


def _notes(dataset: LanguageDataset, unread: set[str]) -> list[str]:
    notes = [f"keys left unread: {', '.join(sorted(unread))[:400]}"] if unread else []
    odd = sum(lines.invisible(text) > 0 for _, text in dataset.contents())
    return [*notes, f"{odd} records hold characters that take no room"] if odd else notes


def _told(files: Iterable[SourceFile]) -> str:
    return ", ".join(f"{file.count} {file.records} in {file.path}" for file in files)
