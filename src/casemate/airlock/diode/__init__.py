"""Bundles across a link that goes one way: UDP with forward error correction, or files for a diode that carries files.

Rules. The receiver never answers: what is missing is a line of text that a person carries back, and the sender sends
only that. What arrives is verified block by block and file by file against an index whose digest names the session, and
it appears in its folder only when it is whole. That says that it is what somebody sent, not who: anybody who reaches
the link may send. Nothing received is trusted; the bundle's own signature is checked by the airlock, afterwards.
Nothing is written outside the receiver's folder, and what a stranger can make it keep is bounded.
"""

from casemate.airlock.diode.address import Address
from casemate.airlock.diode.drop import Dropped, drop
from casemate.airlock.diode.harbour import unfinished
from casemate.airlock.diode.limits import LinkLimits
from casemate.airlock.diode.missing import Missing
from casemate.airlock.diode.outcome import Outcome, Received, Tally
from casemate.airlock.diode.patience import Patience
from casemate.airlock.diode.pick_up import pick_up
from casemate.airlock.diode.receive import receive
from casemate.airlock.diode.send import Cut, Sent, send

__all__ = [
    "Address",
    "Cut",
    "Dropped",
    "LinkLimits",
    "Missing",
    "Outcome",
    "Patience",
    "Received",
    "Sent",
    "Tally",
    "drop",
    "pick_up",
    "receive",
    "send",
    "unfinished",
]
