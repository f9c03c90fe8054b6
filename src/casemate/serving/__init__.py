"""Released models that answer: loading a release, and detection over scenes.

Rules. Nothing is loaded but a release that a site's or officer's key signed, that is in force here and now, unrevoked,
approved by two people who are not its author, and whose every byte verifies. This room verifies and never signs, and
carries no heavy library: a modality is found by name. An answer's marking is the join of everything it was made from;
whoever may not read that answer is told what they would be told if there were no such release.
"""

from casemate.serving.detection import Detection, detect
from casemate.serving.loader import LoadedRelease, load, standing

__all__ = ["Detection", "LoadedRelease", "detect", "load", "standing"]
