"""Bad deliveries: each a clear error that names the thing, what was expected and what was found; nothing enters."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from PIL import Image

from casemate.errors import (
    AboveCeiling,
    BadInput,
    BadMarking,
    CasemateError,
    Diverged,
    InspectionRefused,
    LabelOutsideImage,
    NameTaken,
    NotAllowed,
    NotFound,
    RunFailed,
    Unavailable,
)
from tests.factory.town import Town, found
from tests.modalities.imagery.scenes import make_scene, write_geotiff, write_set


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return found(tmp_path_factory.mktemp("town"))


@pytest.fixture
def ports(tmp_path: Path) -> Path:
    return write_set(tmp_path / "ports", scenes=2, seed=7)


def take_in(town: Town, folder: Path, name: str = "ports", **more: Any) -> dict[str, Any]:
    return town.acting("ines").import_dataset(folder, name=name, **{"marking": "DR", "project": "harbour", **more})


def edited(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads((folder / "labels.json").read_text())
    edit(document)
    (folder / "labels.json").write_text(json.dumps(document))


def unreadable(folder: Path) -> None:
    (folder / "images" / "scene_000.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")


def truncated(folder: Path) -> None:
    file = folder / "images" / "scene_001.png"
    file.write_bytes(file.read_bytes()[:-3000])


def disguised(folder: Path) -> None:
    (folder / "images" / "scene_000.png").write_bytes(b"\x80\x04\x95model")


def webp(folder: Path) -> None:
    Image.new("RGB", (64, 48)).save(folder / "images" / "more.webp")


def linked(folder: Path) -> None:
    (folder / "images" / "more.png").symlink_to("/etc/passwd")


def outside(folder: Path) -> None:
    edited(folder, lambda d: d["annotations"][0].update(bbox=[250, 10, 40, 20]))


def unknown_class(folder: Path) -> None:
    edited(folder, lambda d: d["categories"].append({"id": 9, "name": "submarine cable"}))
    edited(folder, lambda d: d["annotations"][0].update(category_id=9))


def not_a_number(folder: Path) -> None:
    edited(folder, lambda d: d["annotations"][0].update(bbox=[float("nan"), 1, 5, 5]))


def without_boxes(folder: Path) -> None:
    edited(folder, lambda d: d.update(annotations=[]))


def without_images(folder: Path) -> None:
    shutil.rmtree(folder / "images")


def missing_image(folder: Path) -> None:
    (folder / "images" / "scene_001.png").unlink()


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


BAD: dict[str, tuple[Callable[[Path], None], type[CasemateError], str]] = {
    "unreadable": (unreadable, InspectionRefused, r"images/scene_000\.png: expected .*, found"),
    "truncated": (truncated, InspectionRefused, r"images/scene_001\.png: expected .*, found"),
    "disguised": (disguised, InspectionRefused, r"images/scene_000\.png: expected .*, found"),
    "webp": (webp, InspectionRefused, r"images/more\.webp: expected .*, found"),
    "linked": (linked, InspectionRefused, r"images/more\.png: expected .*, found .*link"),
    "outside": (outside, LabelOutsideImage, r"labels\.json.*: expected a box inside its image of 256 × 192 px, found"),
    "unknown class": (unknown_class, BadInput, r"expected a class of taxonomy overhead .*--rename 'submarine cable'"),
    "not a number": (not_a_number, CasemateError, r"labels\.json.*expected .*, found"),
    "without boxes": (without_boxes, BadInput, r"expected at least one box, found none"),
    "without images": (without_images, BadInput, r"expected .*, found"),
    "missing image": (missing_image, BadInput, r"scene_001\.png.*"),
    "empty": (empty, BadInput, r"expected .*, found"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_delivery_is_refused_by_name_and_nothing_of_it_stays(town: Town, ports: Path, case: str) -> None:
    spoil, kind, message = BAD[case]
    spoil(ports)
    before = set(town.acting("ines").store.digests())
    with pytest.raises(kind, match=message):
        take_in(town, ports)
    ines = town.acting("ines")
    assert ines.entries(kind="dataset") == []
    assert [f for f in (town.site / "quarantine").iterdir() if f.is_dir()] == []
    assert ines.journal(limit=1)[-1]["outcome"] == "refused"
    kept = set(ines.store.digests()) - before
    assert len(kept) in {0, 2}  # the inspection's report and its signed statement, kept even of what is refused


def test_labels_in_another_place_than_every_image_name_both_coordinate_systems(town: Town, tmp_path: Path) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    write_geotiff(folder / "scene.tif", make_scene(seed=1).rgb_HWC)
    ring = [[[0, 0], [0.001, 0], [0.001, 0.001], [0, 0.001], [0, 0]]]
    feature = {
        "type": "Feature", "properties": {"label": "airplane"}, "geometry": {"type": "Polygon", "coordinates": ring},
    }  # fmt: skip
    (folder / "labels.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(BadInput, match=r"EPSG"):
        take_in(town, folder)


@pytest.mark.parametrize(
    ("more", "kind", "message"),
    [
        ({"marking": "TS"}, AboveCeiling, r"dataset ports: expected a marking within the site's ceiling S, found TS"),
        ({"marking": "S"}, NotAllowed, r"dataset ports: expected a marking that ines may read \(DR//FRA\), found S"),
        ({"marking": "SECRETISH"}, BadMarking, r"expected a level \(NP, DR, S, TS\), found 'SECRETISH'"),
        ({"marking": ""}, BadMarking, r"expected a level"),
        ({"project": "nowhere"}, NotFound, r"nowhere: expected a project that you may read, found none"),
        ({"modality": "smell"}, NotFound, r"modality: expected imagery or language, found 'smell'"),
        ({"rename": {"airplane": "spaceship"}}, BadInput, r"spaceship"),
    ],
)
def test_a_bad_request_is_refused_before_anything_enters(
    town: Town, ports: Path, more: dict[str, Any], kind: type[CasemateError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        take_in(town, ports, **more)
    assert town.acting("ines").entries(kind="dataset") == []


def test_who_is_not_a_member_takes_nothing_in(town: Town, ports: Path) -> None:
    with pytest.raises(NotAllowed, match="project harbour: expected claire among its members, found a non-member"):
        town.acting("claire").import_dataset(ports, name="x", marking="DR", project="harbour")


def test_what_is_marked_below_the_project_gets_the_projects_marking(town: Town, ports: Path) -> None:
    assert take_in(town, ports, "low", marking="NP")["marking"] == "DR"


@pytest.mark.parametrize("name", ['l\'avion "bleu"', "saut\nde ligne", "🛩️ port", "../../x", "a" * 300, " ", "--json"])
def test_an_odd_name_is_kept_whole_or_refused_clearly(town: Town, ports: Path, name: str) -> None:
    try:
        entry = take_in(town, ports, name)
    except BadInput as no:
        refusal = str(no)
    else:
        assert town.acting("ines").show(entry["id"])["name"] == name
        return
    assert refusal.isprintable()
    assert "expected" in refusal


def test_a_name_is_taken_once_and_two_imports_at_once_land_once(town: Town, tmp_path: Path) -> None:
    folders = [write_set(tmp_path / f"set{i}", scenes=2, seed=20 + i) for i in range(2)]
    ready, ends = Barrier(2), []

    def importing(folder: Path) -> None:
        ready.wait()
        try:
            ends.append(take_in(town, folder, "twins")["digest"])
        except NameTaken as no:
            ends.append(str(no))

    threads = [Thread(target=importing, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [end for end in ends if end.startswith("sha256:")]
    assert len(kept) == 1, ends
    assert [e["digest"] for e in town.acting("ines").entries(text="twins")] == kept


def test_a_loss_that_is_no_number_is_a_recorded_failure(town: Town, ports: Path) -> None:
    take_in(town, ports, "for divergence")
    ines = town.acting("ines")
    with pytest.raises((Diverged, RunFailed), match="expected a finite number, found") as failure:
        ines.train(
            ["for divergence"], name="wild", project="harbour", recipe="debug", settings={"lr": 1e9, "steps": 12}
        )
    assert "step" in str(failure.value)
    assert ines.runs()[0]["state"] == "failed"
    assert ines.entries(kind="model") == []


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        ({"datasets": ["nothing"]}, NotFound, "nothing: expected an entry that you may read, found none"),
        ({"recipe": "magic"}, NotFound, "recipe: expected .*fine_tune.*, found 'magic'"),
        ({"settings": {"colour": 1}}, BadInput, "parameter colour: expected one of .*, found"),
        ({"executor": "moon"}, BadInput, "executor: expected inline or local, found 'moon'"),
    ],
)
def test_a_bad_training_order_is_refused_before_a_run_exists(
    town: Town, ports: Path, asked: dict[str, Any], kind: type[CasemateError], message: str
) -> None:
    ines = town.acting("ines")
    if not ines.entries(text="for orders"):
        take_in(town, ports, "for orders")
    before = len(ines.runs())
    order = {"datasets": ["for orders"], "name": "m", "project": "harbour", "recipe": "debug", **asked}
    with pytest.raises(kind, match=message):
        ines.train(order.pop("datasets"), **order)
    assert len(ines.runs()) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = [shutil.which("mount") or "mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system may be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run([shutil.which("umount") or "umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_is_said_and_the_site_is_as_before(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "t").mkdir()
    town = found(small_disk / "t")
    ports = write_set(tmp_path / "large", scenes=4, seed=3, width=900, height=700)
    with pytest.raises(Unavailable, match=r"expected .*, found"):
        take_in(town, ports)
    assert town.acting("ines").entries(kind="dataset") == []
    assert {c["verdict"] for c in town.acting("claire").verify()} == {"ok"}
