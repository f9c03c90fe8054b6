"""Bytes by their digest: objects, manifests, folders, over backends found by name.

Rules. The store knows bytes and not meaning. What is put is whole or absent; what is read is verified; identity is
SHA-256, so that an auditor needs only `sha256sum`. Nothing is deleted that a live name keeps.
"""

from casemate.store.cores import Progress, Tally, cores, on_all_cores
from casemate.store.digest import Digest, Hashed, digest_files
from casemate.store.folders import (
    Damage,
    checkout,
    collect_garbage,
    get_bytes,
    get_manifest,
    list_files,
    manifest_of,
    put_bytes,
    put_folder,
    verify_store,
)
from casemate.store.manifest import Manifest, ManifestFile
from casemate.store.objects import ObjectStore, open_store, store_names

__all__ = [
    "Damage",
    "Digest",
    "Hashed",
    "Manifest",
    "ManifestFile",
    "ObjectStore",
    "Progress",
    "Tally",
    "checkout",
    "collect_garbage",
    "cores",
    "digest_files",
    "get_bytes",
    "get_manifest",
    "list_files",
    "manifest_of",
    "on_all_cores",
    "open_store",
    "put_bytes",
    "put_folder",
    "store_names",
    "verify_store",
]
