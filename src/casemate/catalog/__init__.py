"""What exists, from what, for whom: entries, lineage, runs, people, projects and the journal.

Rules. All reading goes through `catalog.seen_by(reader)`; what it answers is what a catalog would that never held
anything above the reader (ADR 0002). One act is one transaction with its line in the journal; refusals have lines too.
Entries never
change, but that their markings may be raised (ADR 0006). Identifiers are random.
"""

from casemate.catalog.apikeys import SCOPES, ApiKey, NewApiKey, Visit
from casemate.catalog.catalog import Catalog
from casemate.catalog.changes import Changes, Kept
from casemate.catalog.entries import KINDS, Entry, NewEntry
from casemate.catalog.journal import Act, Head, Journal, JournalLine, Sign, verify
from casemate.catalog.lineage import Edge, Lineage
from casemate.catalog.passages import Channel, Passage
from casemate.catalog.people import ROLES, Person
from casemate.catalog.projects import SITE_KINDS, SITE_PROJECT, Project
from casemate.catalog.raising import Change
from casemate.catalog.runs import RUN_KINDS, NewRun, Run
from casemate.catalog.site import Reader
from casemate.catalog.spread import Spread
from casemate.catalog.view import EntryPage, Facets, JournalPage, RunPage, View

__all__ = [
    "KINDS",
    "ROLES",
    "RUN_KINDS",
    "SCOPES",
    "SITE_KINDS",
    "SITE_PROJECT",
    "Act",
    "ApiKey",
    "Catalog",
    "Change",
    "Changes",
    "Channel",
    "Edge",
    "Entry",
    "EntryPage",
    "Facets",
    "Head",
    "Journal",
    "JournalLine",
    "JournalPage",
    "Kept",
    "Lineage",
    "NewApiKey",
    "NewEntry",
    "NewRun",
    "Passage",
    "Person",
    "Project",
    "Reader",
    "Run",
    "RunPage",
    "Sign",
    "Spread",
    "View",
    "Visit",
    "verify",
]
