"""How well a recogniser reads print: edits a character and edits a word, over pictures whose text is known.

Rules. Lines are taken from top to bottom and from left to right, so a set's pages have one column. Runs of white space
are one space; case, accents and punctuation count, because who reads a name wants it as it is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casemate.errors import BadInput
from casemate.modalities.language.corpus import Page
from casemate.modalities.language.evaluation.figures import Figure, ratio
from casemate.modalities.language.evaluation.task import Found, Sample, Task
from casemate.modalities.language.evaluation.words import edits

_MOST_PIXELS = 100_000_000
_SAME_LINE = 0.6  # of a line's height: what lies closer stands beside, and not below


def evaluate(task: Task, open_recogniser: Callable[[Task], Any]) -> Found:
    """Character and word error of all pages, and by language."""
    pages = task.drawn(task.dataset.pages, task.asked.questions)
    if not pages:
        raise BadInput("evaluation set", expected="pictures of print (pages.jsonl)", found="none")
    task.total = len(pages)
    recogniser, read = open_recogniser(task), []
    for page in pages:
        read.append(_plain(text_of(recogniser.read(picture(task.dataset.folder / page.image)))))
        task.step()
    pairs = list(zip(pages, read, strict=True))
    found = Found(counts={"pages": len(pages)}, metrics=_figures(task, pairs, ""))
    languages = Counter(page.language for page in pages if page.language)
    for language in sorted(languages) if len(languages) > 1 else ():
        found.metrics |= _figures(task, [pair for pair in pairs if pair[0].language == language], f".{language}")
    worst = sorted(pairs, key=lambda pair: -edits(pair[1], _plain(pair[0].text)) / len(_plain(pair[0].text)))
    found.samples = [_sample(page, text) for page, text in worst[: task.asked.samples]]
    return found


def picture(file: Path) -> NDArray[np.uint8]:
    """A picture as RGB, H W 3."""
    from PIL import Image

    with Image.open(file) as opened:
        if opened.width * opened.height > _MOST_PIXELS:
            found = f"{opened.width} x {opened.height}"
            raise BadInput(file.name, expected=f"a picture of at most {_MOST_PIXELS} pixels", found=found)
        return np.asarray(opened.convert("RGB"))


def text_of(lines: Sequence[Any]) -> str:
    """The lines of a page as they are read."""
    rows: list[list[Any]] = []
    for line in sorted(lines, key=lambda line: line.box[1]):
        middle = (line.box[1] + line.box[3]) / 2
        height = line.box[3] - line.box[1]
        if rows and abs(middle - (rows[-1][0].box[1] + rows[-1][0].box[3]) / 2) < _SAME_LINE * height:
            rows[-1].append(line)
        else:
            rows.append([line])
    return "\n".join(" ".join(one.text for one in sorted(row, key=lambda one: one.box[0])) for row in rows)


def _figures(task: Task, pairs: Sequence[tuple[Page, str]], label: str) -> dict[str, Figure]:
    how = {"resamples": task.asked.resamples, "seed": task.seed}
    written = [_plain(page.text) for page, _ in pairs]
    wrong = [float(edits(text, right)) for (_, text), right in zip(pairs, written, strict=True)]
    words = [float(edits(text.split(), right.split())) for (_, text), right in zip(pairs, written, strict=True)]
    return {
        f"character_error{label}": ratio(wrong, [float(len(right)) for right in written], **how),
        f"word_error{label}": ratio(words, [float(len(right.split())) for right in written], **how),
    }


def _sample(page: Page, read: str) -> Sample:
    wrong, right = edits(read, _plain(page.text)), _plain(page.text)
    told = (f"{wrong} edits in {len(right)} characters", f"{wrong} corrections pour {len(right)} caractères")
    return Sample("page", right, read, *told, wrong == 0)


def _plain(text: str) -> str:
    return " ".join(text.split())
