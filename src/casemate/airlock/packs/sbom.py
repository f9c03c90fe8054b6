"""The bill of materials: CycloneDX 1.6, one component a wheel, with digest, licence, purl and what it needs.

Rules. Same wheels and same time, same bytes: the serial number is made from the digests, the time is the caller's. Code
that a wheel carries inside itself (GDAL in rasterio, say) is not taken apart: the component is the wheel.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from casemate.airlock.packs.packages import Package
from casemate.signing.canonical import dump

if TYPE_CHECKING:  # heavy: imported where it is used
    from cyclonedx.model import HashType
    from cyclonedx.model.license import License
    from packageurl import PackageURL

_SERIALS = uuid.UUID("a8ad24f8-8a0f-5d86-9f0c-0a1d5a4ce3a7")


def bill_of_materials(
    root: Package, packages: Iterable[Package], needs: Mapping[str, tuple[str, ...]], *, made: datetime
) -> bytes:
    """The bill of `root` and all `packages`, in canonical JSON; `needs` are direct dependencies by name."""
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.dependency import Dependency
    from cyclonedx.output.json import JsonV1Dot6

    everything = sorted({root, *packages}, key=lambda package: package.name)
    refs = {package.name: _purl(package).to_string() for package in everything}

    def component(package: Package, kind: ComponentType) -> Component:
        return Component(
            name=package.name, version=package.version, type=kind, bom_ref=refs[package.name], purl=_purl(package),
            hashes=[_hash(package)], licenses=_licences(package),
        )  # fmt: skip

    parts = {p.name: component(p, ComponentType.LIBRARY) for p in everything if p.name != root.name}
    whole = component(root, ComponentType.APPLICATION)
    refd = {**{name: part.bom_ref for name, part in parts.items()}, root.name: whole.bom_ref}
    graph = [Dependency(refd[n], [Dependency(refd[need]) for need in needs.get(n, ())]) for n in sorted(refd)]
    serial = uuid.uuid5(_SERIALS, "\n".join(f"{p.name} {p.version} {p.digest}" for p in everything))
    bom = Bom(
        components=parts.values(), dependencies=graph, serial_number=serial,
        metadata=BomMetaData(component=whole, timestamp=made),
    )  # fmt: skip
    return dump(json.loads(JsonV1Dot6(bom).output_as_string()))


def _purl(package: Package) -> PackageURL:
    from packageurl import PackageURL

    return PackageURL("pypi", name=package.name, version=package.version)


def _hash(package: Package) -> HashType:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=package.digest.hex)


def _licences(package: Package) -> list[License]:
    from cyclonedx.contrib.license.factories import LicenseFactory

    return [LicenseFactory().make_from_string(package.licence)] if package.licence else []
