"""The only door of a site, both ways: quarantine, inspection, two people, bundles, receipts, diodes.

Rules. Nothing that arrives is executed, followed or trusted by its name: it is copied once into a private folder,
hashed in the same pass, and read by child processes that can neither write, nor reach a network, nor read the rest of
the machine. What is allowed is listed. A scanner that crashes, hangs or is missing is a refusal that says so. There is
a report even when clean. Who asks for something to pass does not decide; two other people do. What leaves is signed,
numbered and answered by a receipt. Nothing here switches a verification off (docs/airlock.md).
"""

from casemate.airlock.copying import AdmittedFile
from casemate.airlock.formats import DOCUMENTS, IMAGERY, MODEL, SPEECH
from casemate.airlock.limits import Limits, ScanLimits
from casemate.airlock.quarantine import Admitted, admit, sweep
from casemate.airlock.report import Finding, InspectedFile, InspectionReport, require_clean

__all__ = [
    "DOCUMENTS",
    "IMAGERY",
    "MODEL",
    "SPEECH",
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
