"""`casemate demo`: the walk of one datum on real images, told as the commands that anybody could type."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from casemate.cli.demo_tiles import unpack
from casemate.cli.options import EXISTING, PATH, Caller
from casemate.cli.runs import setting, spread
from casemate.errors import CasemateError, NameTaken

if TYPE_CHECKING:
    from casemate.factory import Factory

_MARK = ".casemate-demo"
_LICENCE = "NEON airborne imagery, as packaged in deepforest 2.1.0 (MIT)"
_PEOPLE = {  # name: clearance, roles
    "ines": ("DR//FRA", ("author",)),
    "marc": ("DR//FRA", ("approver",)),
    "lea": ("S//FRA", ("approver",)),
    "tom": ("NP//FRA", ()),
}
_GATE = """\
# What this demonstration asks of a detector of trees: signed by the officer, versioned in the catalog.
format = "casemate-gate-policy/1"
name = "trees"

[[rules]]
metric = "ap50"
at_least = 0.20

[[rules]]
metric = "recall"
at_least = 0.25

[overlap]
max_near_duplicates = 0

[held_out]
min_images = 4
min_boxes = 100

[approvals]
approver = 2

[release]
validity_days = 90
"""


@click.command()
@click.argument("folder", type=PATH)
@click.option("--tiles", type=EXISTING, required=True, help="The deepforest 2.1.0 wheel: four labelled tiles.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a parameter of the recipe.")
def demo(folder: Path, tiles: Path, settings: tuple[str, ...]) -> None:
    """From labelled tiles to a released detector, in FOLDER: about five minutes on two cores."""
    started = time.monotonic()
    _fresh(folder)
    story = _Story(folder)
    story.found_site()
    story.scene = unpack(tiles, folder / "deliveries")
    story.take_in()
    story.train(dict(setting(pair) for pair in settings))
    story.refuse_leak()
    story.evaluate()
    story.approve_and_release()
    story.detect()
    story.refuse_reader()
    story.look_back()
    click.echo(f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes. Where to look:")
    for what, where in story.shown.items():
        click.echo(f"  {what:<12} {where}")


class _Story:
    """The people of a demonstration site and what each of them does."""

    def __init__(self, folder: Path) -> None:
        """Everything lies in `folder`."""
        self.folder = folder
        self.site = folder / "site"
        self.keys = folder / "keys"
        self.scene = folder
        self.shown: dict[str, Path] = {}

    def acting(self, name: str) -> Factory:
        """The site as `name`, whose key is unlocked with the passphrase in a file beside it."""
        from casemate.factory import Factory

        secret = self.keys / f"{name}.passphrase"
        return Factory.open(self.site, key=self.keys / f"{name}.key", passphrase=secret.read_bytes)

    def found_site(self) -> None:
        """An officer founds a French site; people bring their keys."""
        from casemate.factory import init_site, new_key

        _chapter("A site, its officer, its people")
        self.keys.mkdir(mode=0o700)
        for name in ("claire", *_PEOPLE):
            (self.keys / f"{name}.passphrase").write_text(secrets.token_urlsafe(18), encoding="ascii")
        _say("casemate init site --policy fr --ceiling 'S//SPÉCIAL FRANCE' --officer claire --officer-key claire.key")
        secret = (self.keys / "claire.passphrase").read_bytes()
        init_site(
            self.site, name="demo", policy="fr", ceiling="S//SPÉCIAL FRANCE", officer="claire",
            officer_key=self.keys / "claire.key", passphrase=lambda _: secret,
        )  # fmt: skip
        for name, (clearance, roles) in _PEOPLE.items():
            key = self.keys / f"{name}.key"
            new_key(key, (self.keys / f"{name}.passphrase").read_bytes())
            _say(f"casemate people add {name} --clearance {clearance}" + "".join(f" --role {r}" for r in roles))
            self.acting("claire").add_person(
                name, public_key=key.with_name(key.name + ".pub"), clearance=clearance, roles=frozenset(roles)
            )
        _say("casemate project add forest --marking DR --member ines --member marc --member lea")
        self.acting("claire").add_project("forest", marking="DR", members=frozenset({"ines", "marc", "lea"}))
        gate = self.folder / "gates.toml"
        gate.write_text(_GATE, encoding="utf-8")
        _say("casemate policy set gates gates.toml --reason 'thresholds for trees'")
        self.acting("claire").set_policy("gates", gate, reason="thresholds for trees")

    def take_in(self) -> None:
        """The engineer takes two deliveries in, marked Diffusion Restreinte."""
        _chapter("Data in: quarantine, inspection, labels checked, marked DR")
        for name in ("training", "held-out"):
            _say(f"casemate data import deliveries/{name} --name {name} --marking DR --project forest")
            with _bar(f"import {name}") as progress:
                entry = self.acting("ines").import_dataset(
                    self.folder / "deliveries" / name, name=name, marking="DR", project="forest", licence=_LICENCE,
                    exhaustive=["tree"], progress=progress,
                )  # fmt: skip
            facts = entry["facts"]
            counts = f"{facts['images']} images, {facts['boxes']} boxes"
            click.echo(f"  {counts}, marked {entry['marking']}, {entry['digest'][:19]}…")

    def train(self, settings: dict[str, Any]) -> None:
        """A short fine-tuning from the base weights that come with Casemate."""
        _chapter("Training: a frozen plan, a run that could be killed and resumed to the same bits")
        _say("casemate train training --name trees --project forest")
        with _bar("train trees") as progress:
            entry = self.acting("ines").train(
                ["training"], name="trees", project="forest", settings=settings, processes=spread(), progress=progress
            )
        size = f"{entry['facts']['bytes'] / 1e6:.1f} MB"
        click.echo(f"  model trees, marked {entry['marking']}, {size}, {entry['digest'][:19]}…")

    def refuse_leak(self) -> None:
        """Scored on the very images it learned from, the model is refused."""
        _chapter("The gate refuses: scores on the training set itself prove nothing")
        _say("casemate evaluate trees training")
        with _bar("evaluate") as progress:
            found = self.acting("ines").evaluate("trees", "training", settings={"robustness": []}, progress=progress)
        _verdict(found)
        _say(f"casemate release '{found['report']}' --name trees-2026")
        _refused(lambda: self.acting("ines").release(found["report"], name="trees-2026"))

    def evaluate(self) -> None:
        """On a third of the largest tile, which was kept apart."""
        _chapter("Evaluation on ground kept apart: scores with intervals, robustness, calibration, dossier")
        _say("casemate evaluate trees held-out --name 'trees report'")
        with _bar("evaluate") as progress:
            found = self.acting("ines").evaluate("trees", "held-out", name="trees report", progress=progress)
        _verdict(found)

    def approve_and_release(self) -> None:
        """Two people who are not the author read the dossier and sign; the site signs the release."""
        _chapter("Two people decide, neither of them the author; the site signs")
        _say("casemate approve 'trees report' …   (as ines, the author)")
        _refused(lambda: self.acting("ines").approve("trees report", reason="my own work"))
        for name in ("marc", "lea"):
            reason = "dossier read: figures on held-out ground and limits are acceptable for mapping"
            _say(f"casemate approve 'trees report' --reason '{reason}'   (as {name})")
            self.acting(name).approve("trees report", reason=reason)
        _say("casemate release 'trees report' --name trees-2026")
        entry = self.acting("ines").release("trees report", name="trees-2026")
        facts = entry["facts"]
        click.echo(f"  valid until {facts['expires'][:10]}, approved by {', '.join(facts['approved_by'])}")
        dossier = self.folder / "report"
        self.acting("marc").get("trees report", dossier)
        self.shown["dossier"] = dossier / "dossier.html"

    def detect(self) -> None:
        """The released detector over the largest tile."""
        _chapter("Detection over the largest tile, by the released model alone")
        out = self.folder / "detections"
        _say(f"casemate detect trees-2026 {self.scene.name} --marking DR --out detections")
        with _bar("detect") as progress:
            found = self.acting("lea").detect("trees-2026", self.scene, out, marking="DR", progress=progress)
        click.echo(f"  {found['detections']} detections, marked {found['marking']}")
        self.shown["overlay"] = out / "overlay.png"
        self.shown["GeoJSON"] = out / "detections.geojson"

    def refuse_reader(self) -> None:
        """For somebody without clearance there is no such thing."""
        _chapter("A reader without clearance: what is above them does not exist")
        _say("casemate show trees-2026   (as tom, cleared NP)")
        _refused(lambda: self.acting("tom").show("trees-2026"))
        _say("casemate show no-such-thing   (as tom)")
        _refused(lambda: self.acting("tom").show("no-such-thing"))
        _say(f"casemate list   (as tom): {len(self.acting('tom').entries(project='forest'))} entries of the project")

    def look_back(self) -> None:
        """Lineage, proof, journal."""
        from casemate.cli.catalog import journal_table

        _chapter("Where it comes from, and proof that nothing was touched")
        _say("casemate lineage trees-2026")
        for line in self.acting("ines").lineage("trees-2026")["tree"]:
            click.echo(f"  {line}")
        _say("casemate verify")
        for row in self.acting("claire").verify():
            click.echo(f"  {row['verdict']:<8} {row['what']}: {row['detail']}")
        _say("casemate journal --limit 8")
        journal_table(self.acting("claire").journal(limit=8))
        journal = self.folder / "journal.txt"
        rows = self.acting("claire").journal(limit=1000)
        keys = ("time", "actor", "verb", "subject", "outcome", "reason", "marking")
        journal.write_text("".join("\t".join(str(row[k]) for k in keys) + "\n" for row in rows), encoding="utf-8")
        self.shown["journal"] = journal
        self.shown["site"] = self.site


def _fresh(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).is_file():
            raise NameTaken(folder, expected="a new folder, or an earlier demonstration", found="a folder in use")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()


def _chapter(title: str) -> None:
    click.echo()
    click.secho(f"── {title}", bold=True)


def _say(command: str) -> None:
    click.secho(f"$ {command}", fg="cyan")


def _verdict(found: dict[str, Any]) -> None:
    figures = ", ".join(f"{name} {value:.2f}" for name, value in found["figures"].items() if value is not None)
    click.echo(f"  {figures}")
    click.echo(f"  verdict: {found['verdict']}")
    for reason in found["reasons"]:
        if not reason["passed"]:
            click.echo(f"    {reason['rule']}: expected {reason['expected']}, found {reason['found']}")


def _refused(act: Any) -> None:
    try:
        act()
    except CasemateError as no:
        click.secho(f"  refused (exit {no.exit_code}): {no}", fg="yellow")
        return
    raise RuntimeError("the demonstration expected a refusal here")


@contextmanager
def _bar(label: str) -> Iterator[Any]:
    with Caller(Path(), None, None, None, json=False).progress(label) as progress:
        yield progress


COMMANDS = (demo,)
