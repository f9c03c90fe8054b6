"""The tables as queries see them; `migrations` makes them.

Rules. Every table that a reader may ask about has a `marking`, which points into the table of distinct markings. No
column counts anything, but the journal's position, which no reader is ever shown, and the numbers of a channel, which
count what is at its marking. Portable: text, integers and JSON kept as text; what only SQLite knows is in `sqlite`.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Integer, MetaData, String, Table, Text

METADATA = MetaData()

migration = Table(
    "migration",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("applied", String, nullable=False),
)

# The distinct markings of the site: few, so that a clearance is compiled into the set that it dominates at each read.
marking = Table("marking", METADATA, Column("text", String, primary_key=True))

person = Table(
    "person",
    METADATA,
    Column("name", String, primary_key=True),
    Column("display", String, nullable=False),
    Column("clearance", String, nullable=False),
    Column("roles", String, nullable=False),
    Column("keyid", String, nullable=True, unique=True),
    Column("public_key", Text, nullable=False),
    Column("active", Boolean, nullable=False),
)

project = Table(
    "project",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("marking", String, ForeignKey("marking.text"), nullable=False),
    Column("description", Text, nullable=False),
    Column("created", String, nullable=False),
)

member = Table(
    "member",
    METADATA,
    Column("project", String, ForeignKey("project.id"), primary_key=True),
    Column("person", String, ForeignKey("person.name"), primary_key=True),
)

entry = Table(
    "entry",
    METADATA,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("folded", String, nullable=False),
    Column("project", String, ForeignKey("project.id"), nullable=False),
    Column("marking", String, ForeignKey("marking.text"), nullable=False),
    Column("digest", String, nullable=False),
    Column("facts", Text, nullable=False),
    Column("author", String, ForeignKey("person.name"), nullable=False),
    Column("created", String, nullable=False),
)

lineage = Table(
    "lineage",
    METADATA,
    Column("child", String, ForeignKey("entry.id"), primary_key=True),
    Column("parent", String, ForeignKey("entry.id"), primary_key=True),
    Column("place", Integer, nullable=False),
)

run = Table(
    "run",
    METADATA,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("plan_digest", String, nullable=False),
    Column("project", String, ForeignKey("project.id"), nullable=False),
    Column("marking", String, ForeignKey("marking.text"), nullable=False),
    Column("state", String, nullable=False),
    Column("author", String, ForeignKey("person.name"), nullable=False),
    Column("created", String, nullable=False),
    Column("started", String, nullable=True),
    Column("ended", String, nullable=True),
    Column("workdir", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("facts", Text, nullable=False),
)

passage = Table(
    "passage",
    METADATA,
    Column("peer", String, primary_key=True),
    Column("direction", String, primary_key=True),
    Column("marking", String, ForeignKey("marking.text"), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("manifest", String, nullable=False),
    Column("previous", String, nullable=False),
)

apikey = Table(
    "apikey",
    METADATA,
    Column("id", String, primary_key=True),
    Column("owner", String, ForeignKey("person.name"), nullable=False),
    Column("label", String, nullable=False),
    Column("project", String, ForeignKey("project.id"), nullable=False),
    Column("marking", String, ForeignKey("marking.text"), nullable=False),
    Column("sha256", String, nullable=False, unique=True),
    Column("scopes", String, nullable=False),
    Column("ceiling", String, nullable=True),
    Column("created", String, nullable=False),
    Column("expires", String, nullable=False),
    Column("revoked", String, nullable=True),
)

journal = Table(
    "journal",
    METADATA,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("id", String, nullable=False, unique=True),
    Column("time", String, nullable=False),
    Column("marking", String, ForeignKey("marking.text"), nullable=False),
    Column("actor", String, nullable=False),
    Column("verb", String, nullable=False),
    Column("about", String, nullable=False),
    Column("line", Text, nullable=False),
    Column("hash", String, nullable=False),
)
