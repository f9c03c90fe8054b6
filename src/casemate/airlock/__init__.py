"""The only door of a site: what comes in waits in quarantine, is inspected, and is taken in or refused.

Rules. Nothing that arrives is executed, followed or trusted by its name: it is copied once into a private folder,
hashed in the same pass, and read by child processes that can neither write, nor reach a network, nor read the rest of
the machine. What is allowed is listed. A scanner that crashes, hangs or is missing is a refusal that says
so. There is a report even when clean.
"""

from casemate.airlock.copying import AdmittedFile
from casemate.airlock.formats import IMAGERY
from casemate.airlock.limits import Limits, ScanLimits
from casemate.airlock.quarantine import Admitted, admit, sweep
from casemate.airlock.report import Finding, InspectedFile, InspectionReport, require_clean

__all__ = [
    "IMAGERY",
    "Admitted",
    "AdmittedFile",
    "Finding",
    "InspectedFile",
    "InspectionReport",
    "Limits",
    "ScanLimits",
    "admit",
    "require_clean",
    "sweep",
]
