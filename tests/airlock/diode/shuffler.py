"""A relay that hands packets on out of order: `python -m tests.airlock.diode.shuffler FROM TO`."""

from __future__ import annotations

import random
import sys
from contextlib import closing

from casemate.airlock.diode import Address
from casemate.airlock.diode.address import listening


def main() -> None:
    listen, to = map(Address.parse, sys.argv[1:])
    chance = random.Random(5)  # noqa: S311  an order, the same in every run
    held: list[bytes] = []
    with closing(listening(listen)) as door:
        sys.stdout.write("relaying\n")
        sys.stdout.flush()
        door.settimeout(0.5)
        while True:
            try:
                held.append(door.recv(65535))
            except TimeoutError:  # the sender rests: let go of what is held
                for packet in held:
                    door.sendto(packet, to.sockaddr)
                held.clear()
            if len(held) > 30:
                door.sendto(held.pop(chance.randrange(len(held))), to.sockaddr)


if __name__ == "__main__":
    main()
