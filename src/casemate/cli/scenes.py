"""`casemate detect`: a released model over a scene."""

from __future__ import annotations

from pathlib import Path

import click

from casemate.cli.options import EXISTING, PATH, Caller, acting, facts


@click.command()
@click.argument("release")
@click.argument("scene", type=EXISTING)
@click.option("--out", type=PATH, required=True, help="Folder for detections.geojson and overlay.png.")
@click.option("--marking", required=True, help="Marking of the scene; the answer carries its join with the release's.")
@acting
def detect(caller: Caller, release: str, scene: Path, out: Path, marking: str) -> None:
    """Run the released model RELEASE over SCENE, of any size; stopped, it goes on where it was."""
    factory = caller.factory()
    with caller.progress(f"detect {scene.name}") as progress:
        found = factory.detect(release, scene, out, marking=marking, progress=progress)
    caller.emit(found, lambda: facts(found))


COMMANDS = (detect,)
