"""A sender in a process of its own.

python -m tests.airlock.diode.sender BUNDLE ADDRESS BITS_PER_S OVERHEAD [MISSING]
"""

from __future__ import annotations

import sys
from pathlib import Path

from casemate.airlock.diode import Address, Cut, Missing, send


def main() -> None:
    folder, address, rate, overhead, *missing = sys.argv[1:]
    sent = send(
        Path(folder),
        Address.parse(address),
        rate_bits_per_s=float(rate),
        cut=Cut(overhead=float(overhead), block_bytes=256 << 10),
        only=Missing.parse(missing[0]) if missing else None,
    )
    sys.stdout.write(f"{sent.session.hex()}\n")


if __name__ == "__main__":
    main()
