"""Which model answers whom: releases in force by task, and the engine that a reader is given."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from casemate.catalog import Entry
from casemate.errors import (
    AboveCeiling,
    BadInput,
    DigestMismatch,
    NotAllowed,
    NotFound,
    NotTrusted,
    QuotaSpent,
    Revoked,
)
from casemate.factory import Factory, models
from casemate.factory.models import Chosen
from casemate.serving.engines import Message, Sampling
from casemate.serving.pool import EnginePool
from casemate.signing import Trust
from tests.console.released import released
from tests.factory.town import Clock, Town, found
from tests.serving.engines import stand_in as server
from tests.tiny_gguf import write_tiny_gguf

ASKED = [Message("user", "w01?")]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A town that is copied for each test; nobody acts in it."""
    town = found(tmp_path_factory.mktemp("models") / "town")
    with (town.site / "site.toml").open("a") as stream:
        stream.write("\n[assistant]\ncontext_tokens = 256\nthreads = 1\nquotas = { harbour = 2000 }\n")
    return town


@pytest.fixture
def town(first: Town, tmp_path: Path) -> Town:
    assert isinstance(first.clock, Clock)
    return Town(shutil.copytree(first.root, tmp_path / "town"), Clock(first.clock.now))


def a_model(
    town: Town, name: str, *, task: str = "chat", marking: str = "DR", days: int = 30, gguf: bool = True
) -> Entry:
    """A release of a model of its own (each has other bytes)."""
    folder = town.root / f"model {name}"
    if gguf:
        write_tiny_gguf(folder, seed=len(name))
    else:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(name.encode())
    return released(town, folder, name, task=task, marking=marking, days=days)


@contextmanager
def opened(desk: Factory) -> Iterator[EnginePool]:
    pool = models.new_pool(desk.site, now=desk.now)
    yield pool
    asyncio.run(pool.close())


async def text(chosen: Chosen, max_tokens: int = 3) -> str:
    pieces = chosen.engine.stream(ASKED, Sampling(max_tokens=max_tokens))
    return "".join([piece.text async for piece in pieces])


# ── Releases in force ────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_newest_release_for_the_task_answers(town: Town) -> None:
    a_model(town, "older")
    newer = a_model(town, "newer")
    a_model(town, "reader of print", task="ocr", gguf=False)
    model = models.in_force(town.acting("ines"), "chat")
    assert model is not None
    assert (model.entry, str(model.marking)) == (newer, "DR")
    assert model.digest == newer.facts["release"]
    assert (model.folder / "model.gguf").is_file()
    assert models.in_force(town.acting("ines"), "speech") is None


def test_a_release_above_the_reader_takes_no_part(town: Town) -> None:
    low = a_model(town, "low")
    a_model(town, "high", marking="S")
    ines, lea = town.acting("ines"), town.acting("lea")
    model = models.in_force(ines, "chat")
    assert model is not None
    assert model.entry == low
    with pytest.raises(NotFound) as high:
        models.in_force(ines, "chat", "high")
    with pytest.raises(NotFound) as absent:
        models.in_force(ines, "chat", "absent")
    assert str(high.value) == str(absent.value).replace("absent", "high")
    above = models.in_force(lea, "chat")
    assert above is not None
    assert str(above.marking) == "S"
    under = models.in_force(town.acting("lea", ceiling="DR"), "chat")
    assert under is not None
    assert under.entry == low


def test_what_was_withdrawn_or_has_ended_is_passed_over_and_refused_by_name(town: Town) -> None:
    a_model(town, "first")
    a_model(town, "second")
    town.acting("claire").revoke("second", reason="it invents")
    a_model(town, "third", days=1)
    assert isinstance(town.clock, Clock)
    town.clock.now += timedelta(days=2)
    ines = town.acting("ines")
    model = models.in_force(ines, "chat")
    assert model is not None
    assert model.entry.name == "first"
    for name in ("second", "third"):
        with pytest.raises(Revoked):
            models.in_force(ines, "chat", name)
        with pytest.raises(Revoked):
            models.engine(ines, name)


def test_a_release_for_another_task_is_refused_by_name(town: Town) -> None:
    a_model(town, "reader of print", task="ocr", gguf=False)
    a_model(town, "of no task", task="", gguf=False)
    ines = town.acting("ines")
    with pytest.raises(BadInput, match="release reader of print: expected one of a model for chat, found ocr"):
        models.in_force(ines, "chat", "reader of print")
    with pytest.raises(
        BadInput, match="release of no task: expected one of a model for chat, found a model for no task"
    ):
        models.in_force(ines, "chat", "of no task")


def test_bytes_that_do_not_verify_are_refused_and_not_passed_over(town: Town) -> None:
    a_model(town, "older")
    a_model(town, "newer")
    ines = town.acting("ines")
    model = models.in_force(ines, "chat")
    assert model is not None
    file = model.folder / "model.gguf"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(DigestMismatch):
        models.in_force(ines, "chat")
    with opened(ines) as pool, pytest.raises(DigestMismatch):
        models.engine(ines, pool=pool)


# ── The engine ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_newest_chat_release_answers_in_its_own_name(town: Town) -> None:
    entry = a_model(town, "assistant")
    a_model(town, "elsewhere", gguf=False)
    ines = town.acting("ines")
    with opened(ines) as pool:
        chosen = models.engine(ines, pool=pool, project="harbour")
        assert (chosen.engine.name, chosen.entry, str(chosen.marking)) == ("assistant", entry, "DR")
        assert (chosen.release, chosen.engine.context_tokens) == (entry.facts["release"], 256)
        assert asyncio.run(text(chosen)).count(" w") == 3
        assert pool.quotas is not None
        assert 0 < pool.quotas.used(models._caller(ines, "harbour").party.share) < 100


def test_without_a_model_it_is_quote(town: Town) -> None:
    a_model(town, "high", marking="S")
    ines = town.acting("ines")
    with opened(ines) as pool:
        for chosen in (models.engine(ines, pool=pool), models.engine(ines, "quote", pool=pool)):
            assert (chosen.engine.name, str(chosen.marking), chosen.release) == ("quote", "NP", "")
            assert chosen.entry is None


def test_a_release_that_can_run_nowhere_is_refused_by_name(town: Town) -> None:
    a_model(town, "elsewhere", gguf=False)
    ines = town.acting("ines")
    with pytest.raises(BadInput, match=r"release elsewhere: expected a model with model.gguf, or an engine listed for"):
        models.engine(ines, "elsewhere")


def test_a_release_that_was_withdrawn_answers_no_more_although_its_engine_is_open(town: Town) -> None:
    a_model(town, "assistant")
    ines = town.acting("ines")
    with opened(ines) as pool:
        models.engine(ines, "assistant", pool=pool)
        town.acting("claire").revoke("assistant", reason="it invents")
        assert models.engine(ines, pool=pool).engine.name == "quote"
        with pytest.raises(Revoked):
            models.engine(ines, "assistant", pool=pool)


def test_a_release_that_ends_while_its_engine_is_open_answers_no_more(town: Town) -> None:
    a_model(town, "assistant", days=1)
    ines = town.acting("ines")
    assert isinstance(town.clock, Clock)
    with opened(ines) as pool:
        town.clock.now += timedelta(hours=23, minutes=59, seconds=50)
        first = models.engine(ines, "assistant", pool=pool)
        assert models.engine(ines, "assistant", pool=pool).release == first.release
        assert len(pool.verified) == 1
        town.clock.now += timedelta(seconds=20)  # within the minute in which signatures are not verified again
        with pytest.raises(Revoked, match="expired"):
            models.engine(ines, "assistant", pool=pool)
        assert models.engine(ines, pool=pool).engine.name == "quote"


def test_a_changed_trust_file_counts_at_once(town: Town) -> None:
    a_model(town, "assistant")
    ines = town.acting("ines")
    with opened(ines) as pool:
        models.engine(ines, "assistant", pool=pool)
        stranger = replace(ines, trust=Trust(ines.trust.keys[:1], ines.trust.serial + 1))
        with pytest.raises(NotTrusted):
            models.engine(stranger, "assistant", pool=pool)


def test_a_project_whose_tokens_are_spent_is_refused(town: Town) -> None:
    a_model(town, "assistant")
    ines = town.acting("ines")
    with opened(ines) as pool:
        chosen = models.engine(ines, pool=pool, project="harbour")
        with pytest.raises(QuotaSpent, match="project harbour: expected at most 2000 tokens a day"):
            asyncio.run(text(chosen, max_tokens=2000))


def test_what_held_for_one_reader_is_verified_again_for_another(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    a_model(town, "assistant")
    ines, lea, asked = town.acting("ines"), town.acting("lea"), []
    real = models.serving.standing

    def standing(desk: Factory, entry: Entry) -> object:
        asked.append(desk.person.name)
        return real(desk, entry)

    monkeypatch.setattr(models.serving, "standing", standing)
    with opened(ines) as pool:
        for desk in (ines, ines, lea, ines, lea):
            models.engine(desk, "assistant", pool=pool)
    assert asked == ["ines", "lea"]


def test_nobody_spends_or_learns_of_the_tokens_of_a_project_that_is_not_theirs(town: Town) -> None:
    claire = town.acting("claire")
    claire.add_project("deep", marking="S", members=frozenset({"lea"}))
    with opened(town.acting("tom")) as pool:
        for name in ("deep", "never", "made up to begin a quota of one's own"):
            with pytest.raises(NotFound, match=f"{name}: expected a project that you may read, found none"):
                models.engine(town.acting("tom"), pool=pool, project=name)
        with pytest.raises(NotAllowed, match="project deep: expected claire among its members"):
            models.engine(claire, pool=pool, project="deep")


def test_a_project_does_not_spend_the_tokens_of_its_namesake_at_another_marking(town: Town) -> None:
    a_model(town, "assistant")
    town.acting("claire").add_project("harbour", marking="NP", members=frozenset({"tom"}))
    ines, tom = town.acting("ines"), town.acting("tom")
    with opened(ines) as pool:
        asyncio.run(text(models.engine(ines, pool=pool, project="harbour")))
        shares = [models._caller(one, "harbour").party.share for one in (ines, tom)]
        assert pool.quotas is not None
        assert [bool(pool.quotas.used(share)) for share in shares] == [True, False]


def test_prompts_meet_only_those_of_the_same_person_at_the_same_reach(town: Town) -> None:
    keys = set()
    for name, ceiling in (("ines", None), ("ines", "NP"), ("lea", None), ("lea", "DR")):
        keys.add(models._caller(town.acting(name, ceiling=ceiling), "").reuse)
    again = models._caller(town.acting("ines"), "harbour").reuse
    assert len(keys) == 4
    assert again in keys


# ── Engines of the site's network ────────────────────────────────────────────────────────────────────────────────────
def listed(town: Town, entry: Entry, url: str, ceiling: str = "DR") -> None:
    digest = entry.facts["release"]
    with (town.site / "site.toml").open("a") as stream:
        stream.write(f'\n[[assistant.engines]]\nname = "gpu"\nurl = "{url}"\nmodel = "big"\nrelease = "{digest}"\n')
        stream.write(f'ceiling = "{ceiling}"\ncontext_tokens = 4096\n')


def test_an_engine_that_the_settings_list_serves_its_release(town: Town) -> None:
    entry = a_model(town, "elsewhere", gguf=False)

    async def story() -> None:
        async with server.stand_in(server.answers) as it:
            listed(town, entry, it.url)
            ines = town.acting("ines")
            pool = models.new_pool(ines.site, now=ines.now)
            chosen = models.engine(ines, pool=pool)
            assert (chosen.engine.name, chosen.release) == ("elsewhere", entry.facts["release"])
            assert (chosen.engine.context_tokens, str(chosen.ceiling)) == (4096, "DR")
            assert await text(chosen) == "mot0 mot1 mot2 "
            assert it.asked[0]["model"] == "big"
            assert it.asked[0]["cache_salt"] == models._caller(ines, "").reuse
            await pool.close()

    asyncio.run(story())


def test_nothing_above_the_ceiling_of_its_machine_is_sent(town: Town) -> None:
    entry = a_model(town, "elsewhere", gguf=False)
    listed(town, entry, "http://127.0.0.1:9/v1")
    lea = town.acting("lea")
    with opened(lea) as pool:
        chosen = models.engine(lea, pool=pool)
    chosen.require(lea.site.policy.parse("DR"))
    with pytest.raises(AboveCeiling) as no:
        chosen.require(lea.site.policy.parse("S"))
    expected = "engine elsewhere: expected a marking within DR, the ceiling of its machine, found S"
    assert str(no.value) == expected
    replace(chosen, ceiling=None).require(lea.site.policy.parse("S"))


@pytest.mark.parametrize(
    "line",
    ["[assistant]\nslot = 2", "[[assistant.engines]]\nname = 'x'", "[assistant]\nslots = 0",
     "[[assistant.engines]]\nname='x'\nurl='y'\nmodel='z'\nrelease='sha256:1'\nceiling='DR'"],
)  # fmt: skip
def test_settings_that_nobody_knows_are_errors(town: Town, line: str) -> None:
    settings = (town.site / "site.toml").read_text().partition("[assistant]")[0]
    (town.site / "site.toml").write_text(f"{settings}\n{line}\n")
    with pytest.raises(BadInput, match="the settings of a site"):
        town.acting("ines")
