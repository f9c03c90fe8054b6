"""The process that runs the FEC library: `python -m casemate.airlock.diode.coder`, started by `coding`.

Rules. It confines itself before it reads a byte: no network, no writing, bounded memory and time. The library is native
code that ends its process on input that it does not like, and its input comes from strangers. A message names what to
do and is answered in turn; when its input ends, so does it.

    encode:  E · symbol 2 · repair symbols 4 · length 4 · data                       → length 4 · repair packets
    decode:  D · symbol 2 · bytes of the block 4 · length 4 · packets                → length 4 · block, or length 0
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

from casemate.compute.cell import allow_processor_s, confine

HEAD = struct.Struct(">cHII")
LENGTH = struct.Struct(">I")
ENCODE, DECODE = b"E", b"D"
_MEMORY_BYTES = 2 << 30
_TIME_S = 60.0


def main() -> None:
    """Answer until the input ends."""
    import raptorq  # noqa: F401  loaded before files are out of reach

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not speak in our name
    confine(Path("/nonexistent"), memory_bytes=_MEMORY_BYTES)
    while head := sys.stdin.buffer.read(HEAD.size):
        verb, symbol_bytes, number, length = HEAD.unpack(head)
        data = sys.stdin.buffer.read(length)
        allow_processor_s(_TIME_S)
        answer = encode(data, symbol_bytes, number) if verb == ENCODE else decode(data, symbol_bytes, number)
        out.write(LENGTH.pack(len(answer)))
        out.write(answer)
        out.flush()


def encode(data: bytes, symbol_bytes: int, repair: int) -> bytes:
    """The repair packets of a block, one after another."""
    import raptorq

    packets = raptorq.Encoder.with_defaults(data, symbol_bytes).get_encoded_packets(repair)
    return b"".join(packets[len(packets) - repair :])


def decode(packets: bytes, symbol_bytes: int, length: int) -> bytes:
    """The block that the packets give; empty where they are too few."""
    import raptorq

    decoder = raptorq.Decoder.with_defaults(length, symbol_bytes)
    step = symbol_bytes + 4
    for start in range(0, len(packets), step):
        block = decoder.decode(packets[start : start + step])
        if block is not None:
            return bytes(block)
    return b""


if __name__ == "__main__":
    main()
