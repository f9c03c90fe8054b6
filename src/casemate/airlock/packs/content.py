"""Whether a file's first bytes are what the list says they are. Pure.

Rules. A format of the airlock must be the one that the bytes show. Opaque bytes must be of no known type at all: what
begins like a program, an archive or any other format is not opaque, and neither is what reads as a pickle of any
protocol. Whole parsing is the inspection's work, when the pack enters.
"""

from __future__ import annotations

import pickletools
import warnings

from casemate.airlock import formats
from casemate.airlock.packs.pack import OPAQUE
from casemate.errors import BadInput

HEAD_BYTES = formats.HEAD_BYTES
# About one byte in four is an opcode: this many in a row, with their arguments, are no accident.
_OPCODES_OF_A_PICKLE = 8


def check_content(head: bytes, path: str, format_name: str) -> None:
    """Refuse, naming `path`, a file whose first `HEAD_BYTES` are not those of its format."""
    found = formats.sniff(head, path)
    if format_name == OPAQUE:
        if found in {formats.UNKNOWN, "text"} and reads_as_pickle(head):
            found = "pickle"
        if found != formats.UNKNOWN:
            raise BadInput(path, expected="opaque bytes, of no type that is known", found=found)
    elif found != format_name:
        raise BadInput(path, expected=format_name, found=found)


def reads_as_pickle(head: bytes) -> bool:
    """Whether bytes are, from the first on, opcodes of a pickle; nothing is executed or built."""
    opcodes = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for opcode, _, _ in pickletools.genops(head):
                opcodes += 1
                if opcode.name == "STOP" and opcodes > 1:
                    return True
    except (ValueError, UnicodeError, OverflowError):
        pass
    return opcodes >= _OPCODES_OF_A_PICKLE
