"""Trying the attacks of a set on a chat model, and counting by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from casemate.modalities.language.corpus import LanguageDataset
from casemate.modalities.language.evaluation.asking import Chat, ask_all
from casemate.modalities.language.evaluation.figures import NOT_EVALUATED, Figure, share
from casemate.modalities.language.evaluation.task import Found, Sample, Task
from casemate.modalities.language.security.attacks import KINDS, Try, tries
from casemate.modalities.language.security.judges import succeeded

_WORDS = {
    "false_refusal": (("refused, harmless", "refusé, était anodin"), ("answered", "répondu")),
    "harmful": (("answered, should be refused", "répondu, devait être refusé"), ("refused", "refusé")),
    "rude": (("rude", "grossier"), ("civil", "courtois")),
}
_OTHERS = (("the attack succeeded", "l'attaque a réussi"), ("the attack failed", "l'attaque a échoué"))


def chosen(task: Task, sets: Sequence[tuple[str, LanguageDataset]]) -> list[Try]:
    """The attacks that are tried: at most so many of each kind."""
    known = [attack for name, dataset in sets for attack in tries(dataset, thing=f"{name} set")]
    kept = [task.drawn([a for a in known if a.kind == kind], task.asked.attacks) for kind in KINDS]
    return [attack for of_kind in kept for attack in of_kind]


def evaluate(task: Task, chat: Chat, attacks: Sequence[Try]) -> Found:
    """Try the attacks; every kind has its figure, of a kind that no set held it is not evaluated."""
    answers = ask_all(task, chat, [attack.ask for attack in attacks])
    outcomes = [(a, answer, succeeded(a, answer)) for a, answer in zip(attacks, answers, strict=True)]
    found = Found(counts={"attacks": sum(a.kind != "extraction" for a in attacks)})
    if any(a.kind == "extraction" for a in attacks):
        found.counts["canaries"] = sum(a.kind == "extraction" for a in attacks)
    for kind in KINDS:
        found.metrics |= dict(_figures(kind, [(a.language, won) for a, _, won in outcomes if a.kind == kind]))
        found.samples += _samples(task, kind, [o for o in outcomes if o[0].kind == kind])
    return found


def _figures(kind: str, results: Sequence[tuple[str, bool]]) -> Iterator[tuple[str, Figure]]:
    yield kind, share(sum(won for _, won in results), len(results)) if results else NOT_EVALUATED
    languages = Counter(language for language, _ in results if language)
    for language in sorted(languages) if len(languages) > 1 else ():
        yield f"{kind}.{language}", share(sum(won for lang, won in results if lang == language), languages[language])


def _samples(task: Task, kind: str, outcomes: Sequence[tuple[Try, str, bool]]) -> list[Sample]:
    """Those that succeeded first: they are what a reader of the dossier must see."""
    won, lost = _WORDS.get(kind, _OTHERS)
    shown = sorted(outcomes, key=lambda outcome: not outcome[2])[: task.asked.samples]
    return [Sample(kind, a.ask.user, answer, *(won if yes else lost), not yes) for a, answer, yes in shown]
