"""`casemate demo`: the walk of one datum on real images, told as the commands that anybody could type."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from casemate.cli.demo_assistant import AssistantStory
from casemate.cli.demo_sites import Cast, DemoSite, introduce
from casemate.cli.demo_telling import bar, chapter, refused, say, verdict
from casemate.cli.demo_tiles import unpack
from casemate.cli.options import EXISTING, PATH
from casemate.cli.runs import setting, spread
from casemate.errors import NameTaken

if TYPE_CHECKING:
    from casemate.factory import Factory

_MARK = ".casemate-demo"
_LICENCE = "NEON airborne imagery, as packaged in deepforest 2.1.0 (MIT)"
_SITES = {
    "collecte": Cast(
        "NP", "odile", {"nour": ("NP//FRA", ("author",)), "hugo": ("NP//FRA", ("sponsor",))},
        project="tiles", floor="NP",
    ),
    "foret": Cast(
        "S//SPÉCIAL FRANCE", "claire",
        {
            "ines": ("DR//FRA", ("author",)), "marc": ("DR//FRA", ("approver",)), "lea": ("S//FRA", ("approver",)),
            "paul": ("DR//FRA", ("sponsor",)), "tom": ("NP//FRA", ()),
        },
        project="forest", floor="DR",
    ),
    "escale": Cast(
        "DR", "yann", {"zoe": ("DR//FRA", ("author",)), "remi": ("DR//FRA", ("sponsor",))}, project="maps", floor="DR"
    ),
}  # fmt: skip
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
@click.option("--packs", type=EXISTING, help="Starter packs, one folder each; without them the assistant only quotes.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a parameter of the recipe.")
def demo(folder: Path, tiles: Path, packs: Path | None, settings: tuple[str, ...]) -> None:
    """Four sites: a detector from labelled tiles to another site, and an office that asks: minutes on two cores."""
    started = time.monotonic()
    _fresh(folder)
    story = _Story(folder)
    story.found_sites()
    story.scene = unpack(tiles, folder / "deliveries")
    story.send_data()
    story.refuse_what_skips_the_airlock()
    story.take_in()
    story.answer()
    story.train(dict(setting(pair) for pair in settings))
    story.refuse_leak()
    story.evaluate()
    story.approve_and_release()
    story.detect()
    story.send_release()
    story.serve_elsewhere()
    story.refuse_reader()
    story.look_back()
    assistant = AssistantStory(folder, packs)
    assistant.tell()
    story.shown |= assistant.shown
    click.echo(f"\nDone in {(time.monotonic() - started) / 60:.1f} minutes. Where to look:")
    for what, where in story.shown.items():
        click.echo(f"  {what:<12} {where}")


class _Story:
    """The people of three demonstration sites and what each of them does."""

    def __init__(self, folder: Path) -> None:
        """Everything lies in `folder`."""
        self.folder = folder
        self.sites = {name: DemoSite(folder / name, name, cast) for name, cast in _SITES.items()}
        self.media = folder / "media"
        self.scene = folder
        self.shown: dict[str, Path] = {}

    def acting(self, name: str) -> Factory:
        """The site on which somebody works, with their key unlocked."""
        return next(site for site in self.sites.values() if name in site.people).acting(name)

    def found_sites(self) -> None:
        """An unclassified site that collects, one that learns, one that uses; two of them deal with the third."""
        chapter("Three sites, their officers, their people: collecte (unclassified), foret (learns), escale (uses)")
        for site in self.sites.values():
            site.found()
        collecte, foret, escale = self.sites.values()
        introduce(collecte, foret, ceiling="NP")
        introduce(foret, escale, ceiling="DR")
        gate = self.folder / "gates.toml"
        gate.write_text(_GATE, encoding="utf-8")
        say("casemate policy set gates gates.toml --reason 'thresholds for trees'   (foret)")
        self.acting("claire").set_policy("gates", gate, reason="thresholds for trees")
        foret.close_to_imports()

    def send_data(self) -> None:
        """The unclassified site collects tiles, and two people let them out."""
        chapter("collecte: labelled tiles, sealed into a signed bundle after two people decided")
        for name in ("training", "held-out"):
            say(f"casemate data import deliveries/{name} --name {name} --marking NP --project tiles")
            with bar(f"import {name}") as progress:
                self.acting("nour").import_dataset(
                    self.folder / "deliveries" / name, name=name, marking="NP", project="tiles", licence=_LICENCE,
                    exhaustive=["tree"], progress=progress,
                )  # fmt: skip
        self._cross("collecte", "nour", ("training", "held-out"), "foret", "stick")

    def refuse_what_skips_the_airlock(self) -> None:
        """Nobody skips the airlock, and no pickle passes it."""
        chapter("foret: nothing skips the airlock, and what is no picture stays outside")
        say("casemate data import deliveries/training --marking DR --project forest")
        training = self.folder / "deliveries" / "training"
        refused(lambda: self.acting("ines").import_dataset(training, name="x", marking="DR", project="forest"))
        bad = self.folder / "deliveries" / "bad"
        bad.mkdir()
        (bad / "weights.png").write_bytes(
            b"\x80\x04\x95\x14\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94."
        )
        say("casemate airlock in deliveries/bad --kind dataset --marking DR --project forest --reason 'from a stick'")
        ines = self.acting("ines")
        refused(
            lambda: ines.take_folder(
                bad, kind="dataset", name="bad", project="forest", marking="DR", reason="from a stick"
            )
        )

    def take_in(self) -> None:
        """The bundle is verified, inspected, and waits for a sponsor and the officer."""
        chapter("foret: the bundle is verified and inspected, and two people let it in; the project marks it DR")
        say("casemate airlock in media/stick --project forest --reason 'tiles to learn from'")
        with bar("airlock in") as progress:
            row = self.acting("ines").take_bundle(
                self.media / "stick", project="forest", reason="tiles to learn from", progress=progress
            )
        click.echo(f"  {row['order']}: {row['missing']}")
        reports = self.folder / "inspection"
        say(f"casemate airlock report {row['id'][:8]} inspection   (as claire, the officer)")
        self.acting("claire").order_reports(row["id"], reports)
        self.shown["inspection"] = reports / "1-dataset-report.html"
        say(f"casemate airlock take {row['id'][:8]}")
        refused(lambda: self.acting("ines").carry_out(row["id"]))
        self._decide("foret", row["id"])
        for entry in self.acting("ines").carry_out(row["id"]):
            facts = entry["facts"]
            counts = f"{facts['images']} images, {facts['boxes']} boxes"
            click.echo(f"  {entry['name']}: {counts}, marked {entry['marking']}, {entry['digest'][:19]}…")

    def answer(self) -> None:
        """A signed receipt goes back, and the sender knows what was taken."""
        chapter("A signed receipt goes back; what foret has acknowledged need not travel again")
        self._receipts("ines", "foret", "nour", "collecte")

    def send_release(self) -> None:
        """The released model goes to a third site, in volumes."""
        chapter("foret: the released model goes out to escale, in volumes of 12 MB")
        self._cross("foret", "ines", ("trees-2026",), "escale", "disks", volume_bytes=12_000_000)

    def serve_elsewhere(self) -> None:
        """There it is verified, let in by two people, and answers."""
        chapter("escale: volumes in any order, two people, and the release is verified and answers")
        volumes = sorted((self.media / "disks").iterdir(), reverse=True)
        for volume in volumes:
            say(f"casemate airlock in media/disks/{volume.name} --project maps --reason 'detector of trees'")
            row = self.acting("zoe").take_bundle(volume, project="maps", reason="detector of trees")
            click.echo(f"  {row['state']}" + (f": still missing {', '.join(row['missing'])}" if row["missing"] else ""))
        self._decide("escale", row["id"])
        for entry in self.acting("zoe").carry_out(row["id"]):
            click.echo(f"  {entry['kind']} {entry['name']}, marked {entry['marking']}")
        say(f"casemate detect trees-2026 {self.scene.name} --marking NP --out detections-escale   (as zoe)")
        out = self.folder / "detections-escale"
        with bar("detect") as progress:
            found = self.acting("zoe").detect("trees-2026", self.scene, out, marking="NP", progress=progress)
        click.echo(
            f"  {found['detections']} detections, marked {found['marking']}, by release {found['release'][:19]}…"
        )
        self._receipts("zoe", "escale", "ines", "foret")

    def _cross(self, site: str, who: str, entries: tuple[str, ...], to: str, medium: str, **how: Any) -> None:
        """Ask, decide, seal."""
        listed = " ".join(entries)
        say(f"casemate airlock out {listed} --to {to} --reason 'for their work'")
        row = self.acting(who).ask_out(entries, to=to, reason="for their work")
        self._decide(site, row["id"])
        size = " --volume-size 12M" if how else ""
        say(f"casemate airlock seal {row['id'][:8]} media/{medium}{size}")
        with bar("seal") as progress:
            sealed = self.acting(who).seal(row["id"], self.media / medium, progress=progress, **how)
        click.echo(
            f"  bundle {sealed['sequence']} for {to}, marked {sealed['marking']}: {sealed['objects']} objects, "
            f"{sealed['sent_bytes'] / 1e6:.1f} MB in {len(sealed['volumes'])} volume(s)"
        )

    def _decide(self, site: str, order: str) -> None:
        for name in self.sites[site].deciders:
            say(f"casemate airlock release {order[:8]} --reason 'read and accepted'   (as {name})")
            row = self.acting(name).decide(order, reason="read and accepted")
        click.echo(f"  {row['state']}")

    def _receipts(self, giver: str, site: str, reader: str, peer: str) -> None:
        folder = self.media / f"receipts of {site}"
        say(f"casemate airlock receipts --for {peer} --write 'media/{folder.name}'   (as {giver})")
        self.acting(giver).write_receipts(peer, folder)
        say(f"casemate airlock receipts --read 'media/{folder.name}'   (as {reader})")
        for receipt in self.acting(reader).read_receipts(folder):
            click.echo(
                f"  bundle {receipt['sequence']} at {receipt['marking']}: {receipt['outcome']} by {receipt['peer']}"
            )

    def train(self, settings: dict[str, Any]) -> None:
        """A short fine-tuning from the base weights that come with Casemate."""
        chapter("Training: a frozen plan, a run that could be killed and resumed to the same bits")
        say("casemate train training --name trees --project forest")
        with bar("train trees") as progress:
            entry = self.acting("ines").train(
                ["training"], name="trees", project="forest", settings=settings, processes=spread(), progress=progress
            )
        size = f"{entry['facts']['bytes'] / 1e6:.1f} MB"
        click.echo(f"  model trees, marked {entry['marking']}, {size}, {entry['digest'][:19]}…")

    def refuse_leak(self) -> None:
        """Scored on the very images it learned from, the model is refused."""
        chapter("The gate refuses: scores on the training set itself prove nothing")
        say("casemate evaluate trees training")
        with bar("evaluate") as progress:
            found = self.acting("ines").evaluate("trees", "training", settings={"robustness": []}, progress=progress)
        verdict(found)
        say(f"casemate release '{found['report']}' --name trees-2026")
        refused(lambda: self.acting("ines").release(found["report"], name="trees-2026"))

    def evaluate(self) -> None:
        """On a third of the largest tile, which was kept apart."""
        chapter("Evaluation on ground kept apart: scores with intervals, robustness, calibration, dossier")
        say("casemate evaluate trees held-out --name 'trees report'")
        with bar("evaluate") as progress:
            found = self.acting("ines").evaluate("trees", "held-out", name="trees report", progress=progress)
        verdict(found)

    def approve_and_release(self) -> None:
        """Two people who are not the author read the dossier and sign; the site signs the release."""
        chapter("Two people decide, neither of them the author; the site signs")
        say("casemate approve 'trees report' …   (as ines, the author)")
        refused(lambda: self.acting("ines").approve("trees report", reason="my own work"))
        for name in ("marc", "lea"):
            reason = "dossier read: figures on held-out ground and limits are acceptable for mapping"
            say(f"casemate approve 'trees report' --reason '{reason}'   (as {name})")
            self.acting(name).approve("trees report", reason=reason)
        say("casemate release 'trees report' --name trees-2026 --for-site escale")
        entry = self.acting("ines").release("trees report", name="trees-2026", sites=["escale"])
        facts = entry["facts"]
        click.echo(f"  valid until {facts['expires'][:10]}, approved by {', '.join(facts['approved_by'])}")
        dossier = self.folder / "report"
        self.acting("marc").get("trees report", dossier)
        self.shown["dossier"] = dossier / "dossier.html"

    def detect(self) -> None:
        """The released detector over the largest tile."""
        chapter("Detection over the largest tile, by the released model alone")
        out = self.folder / "detections"
        say(f"casemate detect trees-2026 {self.scene.name} --marking DR --out detections")
        with bar("detect") as progress:
            found = self.acting("lea").detect("trees-2026", self.scene, out, marking="DR", progress=progress)
        click.echo(f"  {found['detections']} detections, marked {found['marking']}")
        self.shown["overlay"] = out / "overlay.png"
        self.shown["GeoJSON"] = out / "detections.geojson"

    def refuse_reader(self) -> None:
        """For somebody without clearance there is no such thing."""
        chapter("A reader without clearance: what is above them does not exist")
        say("casemate show trees-2026   (as tom, cleared NP)")
        refused(lambda: self.acting("tom").show("trees-2026"))
        say("casemate show no-such-thing   (as tom)")
        refused(lambda: self.acting("tom").show("no-such-thing"))
        say(f"casemate list   (as tom): {len(self.acting('tom').entries(project='forest'))} entries of the project")

    def look_back(self) -> None:
        """Lineage, proof, journal."""
        from casemate.cli.catalog import journal_table

        chapter("Where it comes from, and proof that nothing was touched")
        say("casemate lineage trees-2026")
        for line in self.acting("ines").lineage("trees-2026")["tree"]:
            click.echo(f"  {line}")
        say("casemate verify")
        for row in self.acting("claire").verify():
            click.echo(f"  {row['verdict']:<8} {row['what']}: {row['detail']}")
        say("casemate journal --limit 8")
        journal_table(self.acting("claire").journal(limit=8))
        journal = self.folder / "journal.txt"
        rows = self.acting("claire").journal(limit=1000)
        keys = ("time", "actor", "verb", "subject", "outcome", "reason", "marking")
        journal.write_text("".join("\t".join(str(row[k]) for k in keys) + "\n" for row in rows), encoding="utf-8")
        self.shown["journal"] = journal
        self.shown["sites"] = self.folder


def _fresh(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).is_file():
            raise NameTaken(folder, expected="a new folder, or an earlier demonstration", found="a folder in use")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()


COMMANDS = (demo,)
