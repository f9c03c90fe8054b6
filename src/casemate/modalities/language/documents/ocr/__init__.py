"""Recognition of print: PP-OCR's networks through onnxruntime, from one folder that the caller has verified.

Rules. `regions` finds lines, `strips` cuts them out and lays them straight, `letters` reads them, `page` puts them
together; `models` opens the files. All that is not a network is NumPy, SciPy and Pillow (ADR 0013).
"""

from casemate.modalities.language.documents.ocr.models import model_paths, open_model
from casemate.modalities.language.documents.ocr.page import Recogniser

__all__ = ["Recogniser", "model_paths", "open_model"]
