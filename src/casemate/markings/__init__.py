"""Who may read what: policies of markings, markings, clearances, join and dominance.

Rules. Pure: no I/O but reading the policies that ship with this room. Deny by default: an unknown word in a marking or
a clearance is an error, never ignored. A join never lowers. An entry made from several things carries their join.
"""

from casemate.markings.marking import Clearance, Level, Marking
from casemate.markings.policy import Policy, shipped_policies

__all__ = ["Clearance", "Level", "Marking", "Policy", "shipped_policies"]
