"""The site: one installation, its settings read once into a frozen value, its policies signed by the officer.

Layout of a site's folder:

    site.toml            settings; unknown keys are an error
    officer.pub.json     root of trust: the officer's public key, pinned by its id in site.toml
    policy/              markings.toml, gates.toml, trust.toml, exchange.toml, each with its envelope (.dsse.json)
    catalog.sqlite       entries, lineage, journal
    objects/             bytes by digest
    quarantine/          what arrives is copied here and inspected
    receiving/           parts of bundles, until a bundle is whole
    waiting/             inspected deliveries, until two people have decided
    channels/            locks of the channels to other sites
    shelf/               models of loaded releases, verified at every load
    index/               passages for searches, one shard a marking; derived, and made again from the catalog
    runs/                one folder a run: plan.json, inputs, checkpoints, outputs, metrics, log
    assistant/           tokens used today, by share; no names and no texts
    keys/site.key        signs releases after the gate's checks; readable by the site's account alone
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from casemate.errors import BadInput, NotFound
from casemate.markings import Marking, Policy
from casemate.store import ObjectStore, open_store

SITE_FILE = "site.toml"


class _CatalogToml(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str = "sqlite:///catalog.sqlite"


class _StoreToml(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    backend: Literal["posix"] = "posix"
    root: str = "objects"


class _ComputeToml(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    executor: str = "local"
    threads: int = 0
    time_limit_s: int = 7 * 86400


class EngineToml(BaseModel):
    """An engine on the site's network, the release that it runs and the highest marking that may be sent to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=100)
    url: str
    model: str
    release: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    ceiling: str
    context_tokens: int = Field(default=8192, ge=16)
    at_once: int = Field(default=32, ge=1, le=4096)
    ca: str = ""
    key_file: str = ""
    clear: bool = False
    salt: bool = True
    timeout_s: float = Field(default=120.0, gt=0)


class AssistantToml(BaseModel):
    """How language models are run and shared."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    context_tokens: int = Field(default=4096, ge=16)
    slots: int = Field(default=1, ge=1, le=64)
    threads: int = Field(default=0, ge=0)
    waiting: int = Field(default=512, ge=0)
    waiting_each: int = Field(default=256, ge=0)
    waiting_s: float = Field(default=300.0, gt=0)
    tokens_per_day: int = Field(default=0, ge=0)
    quotas: dict[str, int] = {}
    weights: dict[str, int] = {}
    engines: tuple[EngineToml, ...] = ()


class ApiToml(BaseModel):
    """What a request over HTTP may weigh, and how often one key may ask."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    json_bytes: int = Field(default=4 * 1024 * 1024, ge=1024)
    upload_bytes: int = Field(default=512 * 1024 * 1024, ge=1024)
    requests_per_minute: int = Field(default=600, ge=1)
    wrong_keys_per_minute: int = Field(default=30, ge=1)


class SiteToml(BaseModel):
    """The settings of a site; see docs/settings.md."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    ceiling: str
    officer_keyid: str
    catalog: _CatalogToml = _CatalogToml()
    store: _StoreToml = _StoreToml()
    compute: _ComputeToml = _ComputeToml()
    assistant: AssistantToml = AssistantToml()
    api: ApiToml = ApiToml()


@dataclass(frozen=True)
class Site:
    """A site as its settings say it is; `policy` has been verified by whoever made this value."""

    root: Path
    settings: SiteToml
    policy: Policy
    ceiling: Marking

    @property
    def name(self) -> str:
        """Name of the site; releases say where they are valid by it."""
        return self.settings.name

    @property
    def language(self) -> str:
        """The language of its pages where nobody asks for another: that of its policy of markings."""
        return "fr" if self.policy.name == "fr" else "en"

    @property
    def catalog_url(self) -> str:
        """Database of the catalog; a relative SQLite path is inside the site's folder."""
        url = self.settings.catalog.url
        relative = url.removeprefix("sqlite:///")
        if relative == url or relative.startswith("/"):
            return url
        return f"sqlite:///{self.root / relative}"

    @property
    def threads(self) -> int:
        """Processor threads that a run may use."""
        return self.settings.compute.threads or len(os.sched_getaffinity(0))

    @property
    def quarantine(self) -> Path:
        """Where what arrives waits."""
        return self.root / "quarantine"

    @property
    def runs(self) -> Path:
        """Where runs work."""
        return self.root / "runs"

    @property
    def waiting(self) -> Path:
        """Where inspected deliveries wait for two people."""
        return self.root / "waiting"

    @property
    def receiving(self) -> Path:
        """Where the parts of bundles gather until a bundle is whole."""
        return self.root / "receiving"

    @property
    def channels(self) -> Path:
        """Locks of the channels to other sites, of orders that are carried out, and of bundles that are received."""
        return self.root / "channels"

    @property
    def shelf(self) -> Path:
        """Where the models of loaded releases are laid out; verified again at every load."""
        return self.root / "shelf"

    @property
    def assistant(self) -> Path:
        """Where tokens are counted."""
        return self.root / "assistant"

    @property
    def index(self) -> Path:
        """The shards of the index, one a marking."""
        return self.root / "index"

    @property
    def site_key(self) -> Path:
        """The site's own key."""
        return self.root / "keys" / "site.key"

    def store(self) -> ObjectStore:
        """The site's objects."""
        return open_store(self.settings.store.backend, self.root / self.settings.store.root)


def read_settings(root: Path) -> SiteToml:
    """Read site.toml; NotFound where there is no site, BadInput naming each bad key."""
    file = root / SITE_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as why:
        expected = f"a site (a folder with {SITE_FILE}; 'casemate init' makes one)"
        raise NotFound(root, expected=expected, found="none") from why
    try:
        return SiteToml.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as why:
        raise BadInput(file, expected="the settings of a site (docs/settings.md)", found=why) from why
