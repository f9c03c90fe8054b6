"""Bundles: what travels from one site to another, signed, and read back without trusting the road.

Rules. The format is docs/bundle-format.md: a folder that `cat`, `sha256sum`, `tar` and `zstd` can read. Everything is
streamed, on all cores, in memory that does not grow with the bundle. Every byte is covered by the manifest, and the
manifest by a hybrid signature; verification has no off switch. What reads never interprets what it has not compared
with what it must be. Cut anywhere, sealing and receiving go on. Whom to trust, what may travel and what becomes an
entry is decided by who calls.
"""

from casemate.airlock.bundle.check import check
from casemate.airlock.bundle.delivery import read_head
from casemate.airlock.bundle.head import Head, verify_head
from casemate.airlock.bundle.lines import LIST, ObjectLine
from casemate.airlock.bundle.manifest import BundleManifest, SignedFile
from casemate.airlock.bundle.rebuild import objects_of, rebuild, rebuilt_path
from casemate.airlock.bundle.receive import Received, forget, receive, received
from casemate.airlock.bundle.seal import Sealed, seal, sealed_before
from casemate.airlock.bundle.split import split
from casemate.airlock.bundle.terms import Carried, FileFacts, Label

__all__ = [
    "LIST",
    "BundleManifest",
    "Carried",
    "FileFacts",
    "Head",
    "Label",
    "ObjectLine",
    "Received",
    "Sealed",
    "SignedFile",
    "check",
    "forget",
    "objects_of",
    "read_head",
    "rebuild",
    "rebuilt_path",
    "receive",
    "received",
    "seal",
    "sealed_before",
    "split",
    "verify_head",
]
