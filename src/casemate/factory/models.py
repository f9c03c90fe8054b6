"""Which model answers: the releases in force for a task, as the reader sees them.

Rules. A model is used only as a released entry: the newest release that the reader may read and that holds here and
now, or the one that they name. One that was withdrawn, has expired or is not for this site is passed over when nobody
named it, and refused when somebody did; bytes that do not verify are refused either way. A release above the reader
takes no part. The marking of what answers joins the marking of the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from casemate.catalog import Entry
from casemate.errors import AboveCeiling, BadInput, NotAllowed, NotFound, Revoked
from casemate.factory import peers, serving
from casemate.factory.desk import Desk, utc_now
from casemate.factory.site import EngineToml, Site
from casemate.gates.release_check import Release
from casemate.markings import Marking
from casemate.serving import LoadedRelease
from casemate.serving.engines import Engine, llamacpp, openai, quote
from casemate.serving.engines.openai import Remote
from casemate.serving.fair import Party
from casemate.serving.pool import Caller, EnginePool
from casemate.serving.quotas import Grants, Quotas
from casemate.serving.turns import Limits
from casemate.store import Digest, get_manifest

CHAT, EMBEDDINGS, OCR = "chat", "embeddings", "ocr"
GGUF = "model.gguf"
_VERIFIED, _MOST_VERIFIED = timedelta(minutes=1), 256


@dataclass(frozen=True)
class Model:
    """A release in force with its verified files, and the marking that it brings to every answer."""

    entry: Entry
    loaded: LoadedRelease
    marking: Marking

    @property
    def folder(self) -> Path:
        """Where the model's verified files are."""
        return self.loaded.model_dir

    @property
    def digest(self) -> str:
        """The release's digest, by which answers name it."""
        return str(self.loaded.digest)


def in_force(desk: Desk, task: str, name: str = "") -> Model | None:
    """The release that answers for `task`: the one named, else the newest that holds; None where there is none.

    A release that is named is refused with its reason: NotFound, BadInput for another task, Revoked, NotAllowed for
    another site, NotTrusted.
    """
    if name:
        return _loaded(desk, _named(desk, task, name))
    for entry in releases(desk, task):
        try:
            return _loaded(desk, entry)
        except (Revoked, NotAllowed):
            continue
    return None


def releases(desk: Desk, task: str) -> Iterator[Entry]:
    """The releases of models for `task` that this reader may read, newest first, whether they hold or not."""
    for entry in desk.view.walk(kind="release"):
        if task_of(desk, entry) == task:
            yield entry


def task_of(desk: Desk, release: Entry) -> str:
    """What the model of a release does; "" where its entry does not say, or is not here."""
    if "task" in release.facts:
        return str(release.facts["task"])
    try:
        return str(desk.view.get(str(release.facts.get("model", ""))).facts.get("task", ""))
    except NotFound:
        return ""


def _named(desk: Desk, task: str, name: str) -> Entry:
    entry = desk.view.find(name, kind="release")
    found = task_of(desk, entry)
    if found != task:
        raise BadInput(f"release {name}", expected=f"one of a model for {task}", found=found or "a model for no task")
    return entry


def _loaded(desk: Desk, entry: Entry) -> Model:
    loaded = serving.load(desk, entry)
    return Model(entry, loaded, desk.site.policy.parse(loaded.release.marking).join(entry.marking))


@dataclass(frozen=True)
class Chosen:
    """The engine that answers a reader, as they may use it.

    `marking` joins the answer's; `release` is the digest that answers name ("" for `quote`, which is no model);
    `ceiling` is the highest marking that may be sent to an engine on another machine, None where it runs here.
    """

    engine: Engine
    marking: Marking
    release: str
    entry: Entry | None = None
    ceiling: Marking | None = None

    def require(self, marking: Marking) -> None:
        """Refuse to send what is above the ceiling of an engine on another machine."""
        if self.ceiling is not None and not marking.within(self.ceiling):
            expected = f"a marking within {self.ceiling}, the ceiling of its machine"
            raise AboveCeiling(f"engine {self.engine.name}", expected=expected, found=marking)


def engine(desk: Desk, name: str = "", *, pool: EnginePool | None = None, project: str = "") -> Chosen:
    """The engine of the release named, else of the newest chat release that can run here, else `quote`.

    `pool` is the server's; without one a new one is made, for one command. `project` is whose share the call is taken
    from. Opening an engine verifies every byte of its model and may take long: call it from a thread. Errors of
    `in_force`; BadInput for a release that neither runs here nor is listed with an engine.
    """
    opened = pool or new_pool(desk.site, now=desk.now)
    if name == quote.NAME:
        return _quote(desk, opened, project)
    number = desk.catalog.changes.number()
    known = opened.found.get(number, (desk.reader, name))
    if name:
        (entry,) = known or opened.found.put(number, (desk.reader, name), (_named(desk, CHAT, name),))
        return _engine(desk, entry, _standing(desk, entry, opened, number), opened, project)
    for entries in (known or (), releases(desk, CHAT)):  # if none of those that were tried answers now, all are
        tried: list[Entry] = []
        for entry in entries:
            tried.append(entry)
            held = _holding(desk, entry, opened, number)
            if held is not None:
                opened.found.put(number, (desk.reader, name), tuple(tried))
                return _engine(desk, entry, held, opened, project)
    return _quote(desk, opened, project)


def new_pool(site: Site, *, now: Callable[[], datetime] = utc_now) -> EnginePool:
    """An empty pool of engines as the site's settings want it; whoever makes it closes it."""
    said = site.settings.assistant
    return EnginePool(quotas=Quotas(site.assistant, Grants(said.quotas, said.tokens_per_day), now=now))


def _holding(desk: Desk, entry: Entry, pool: EnginePool, number: int) -> tuple[Release, Digest] | None:
    """A release that holds and can answer here; None for one that is passed over."""
    try:
        held = _standing(desk, entry, pool, number)
    except (Revoked, NotAllowed):
        return None
    return held if _runs(desk, held) else None


def _standing(desk: Desk, entry: Entry, pool: EnginePool, number: int) -> tuple[Release, Digest]:
    """Whether a release holds; its signatures are not verified again within a minute, if nothing has changed.

    What could end it sooner counts at once: its last instant, another trust file, a withdrawal. What another site
    released, under a trust file of its own, is always verified. `number` is that of the catalog's changes.
    """
    if peers.site_of(entry):
        return serving.standing(desk, entry)
    withdrawn = pool.withdrawn.get(number, desk.reader)
    if withdrawn is None:
        newest = desk.view.list(kind="revocation", limit=1).entries
        counted = (desk.view.count(kind="revocation"), newest[0].id if newest else "")
        withdrawn = pool.withdrawn.put(number, desk.reader, counted)
    grounds = (f"{entry.id}\n{_reach(desk)}", *withdrawn)  # two readers may see as many withdrawals, and not the same
    now, known = desk.now(), pool.verified.get(grounds)
    if known is not None:
        at, trust, held = known
        if trust == desk.trust and at <= now <= min(at + _VERIFIED, held[0].expires):
            return held
    held = serving.standing(desk, entry)
    if len(pool.verified) >= _MOST_VERIFIED:
        pool.verified.clear()
    pool.verified[grounds] = (now, desk.trust, held)
    return held


def _engine(desk: Desk, entry: Entry, held: tuple[Release, Digest], pool: EnginePool, project: str) -> Chosen:
    release, digest = held
    marking = desk.site.policy.parse(release.marking).join(entry.marking)
    remote = _remote(desk, digest)
    ceiling = desk.site.policy.parse(remote.ceiling) if remote else None
    if not remote and GGUF not in _files(desk, release.model):
        expected = f"a model with {GGUF}, or an engine listed for {digest} in site.toml"
        raise BadInput(f"release {entry.name}", expected=expected, found="neither")

    def opener() -> Engine:
        if remote:
            return openai.open_engine(_address(desk.site, entry.name, remote))
        said = desk.site.settings.assistant
        folder = serving.load(desk, entry).model_dir
        threads = said.threads or desk.site.threads
        return llamacpp.open_engine(
            entry.name, folder, context_tokens=said.context_tokens, slots=said.slots, threads=threads
        )

    at_once = remote.at_once if remote else desk.site.settings.assistant.slots
    # The name of the entry is in the key, because two entries may carry one release under two names.
    shared = pool.engine(f"{digest} {entry.id}", opener, _limits(desk.site, at_once), _caller(desk, project))
    return Chosen(shared, marking, str(digest), entry, ceiling)


def _quote(desk: Desk, pool: EnginePool, project: str) -> Chosen:
    shared = pool.engine(quote.NAME, quote.open_engine, _limits(desk.site, 64), _caller(desk, project))
    return Chosen(shared, desk.site.policy.lowest, "")


def _runs(desk: Desk, held: tuple[Release, Digest]) -> bool:
    """Whether a release can answer on this site: by an engine that is listed with it, or here."""
    release, digest = held
    return _remote(desk, digest) is not None or GGUF in _files(desk, release.model)


def _files(desk: Desk, model: Digest) -> frozenset[str]:
    return frozenset(file.path for file in get_manifest(desk.store, model).files)


def _remote(desk: Desk, digest: Digest) -> EngineToml | None:
    listed = desk.site.settings.assistant.engines
    return next((engine for engine in listed if engine.release == str(digest)), None)


def _address(site: Site, name: str, said: EngineToml) -> Remote:
    ca, key_file = (site.root / path if path else None for path in (said.ca, said.key_file))
    return Remote(
        name, said.url, said.model, said.context_tokens, ca=ca, key_file=key_file, clear=said.clear, salt=said.salt,
        timeout_s=said.timeout_s,
    )  # fmt: skip


def _limits(site: Site, at_once: int) -> Limits:
    said = site.settings.assistant
    return Limits(at_once, said.waiting, said.waiting_each, said.waiting_s, said.weights)


def _caller(desk: Desk, project: str) -> Caller:
    """Who asks; prompts meet only those of the same person under the same clearance and ceiling.

    NotFound or NotAllowed for a project of which they are not a member: its tokens, and how many are left, are its own.
    """
    return Caller(_party(desk, project), hashlib.sha256(_reach(desk).encode()).hexdigest())


def _reach(desk: Desk) -> str:
    reader = desk.reader
    return f"{reader.person_name}\n{reader.clearance}\n{reader.ceiling or ''}"


def _party(desk: Desk, project: str) -> Party:
    """Whose share a call is taken from; a program says its key's project, which was asked as it came in."""
    reader, (name, _, identifier) = desk.reader, project.partition("\n")
    if not project or (reader.through and identifier):
        return Party(reader.person_name, name, identifier)
    found = [one for one in desk.view.projects() if project in {one.name, one.id}]
    if not found:
        raise NotFound(project, expected="a project that you may read", found="none")
    own = [one for one in found if reader.person_name in one.members]
    if not own:
        raise NotAllowed(f"project {project}", expected=f"{reader.person_name} among its members", found="a non-member")
    if len(own) > 1:
        listed = "; ".join(f"{one.name} at {one.marking} ({one.id})" for one in own)
        raise BadInput(project, expected="one project", found=f"{len(own)}: {listed}")
    return Party(reader.person_name, own[0].name, own[0].id)
