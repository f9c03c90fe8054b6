"""How wheels come here on the connected side: pip, in a process of its own, which runs no code of what it fetches.

Rules. Only wheels are asked for: nothing is built, so nothing of a package runs. With `hashed`, pip refuses bytes that
are not those of the lines; whoever calls compares again. Which registry is the machine's own affair: no address stands
here. This is the one act of Casemate that reaches beyond the machine, and it is never needed on a closed site.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from casemate.airlock.packs.pack import Wheel
from casemate.errors import DigestMismatch, Unavailable


@dataclass(frozen=True)
class Target:
    """Another Python and platform than the ones that run here, by wheel tags: "3.12", ("manylinux_2_28_x86_64", …)."""

    python: str
    platforms: tuple[str, ...]
    abi: str | None = None


@dataclass(frozen=True)
class Order:
    """Lines of a requirements file.

    With `hashed` every line has its digests and comes alone; without it the lines come with all that they need, within
    `constraints`. `target` None is this Python on this machine.
    """

    lines: tuple[str, ...]
    hashed: bool = True
    constraints: tuple[str, ...] = ()
    target: Target | None = None


Download = Callable[[Order, Path], None]
"""Puts the wheels of an order into a folder; raises Unavailable or DigestMismatch."""


def order_for(wheel: Wheel) -> Order:
    """The order for one wheel of a pack, whatever Python it was made for: it is never run."""
    python, abi, platform = wheel.filename.removesuffix(".whl").split("-")[-3:]
    line = f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.digest.hex}"
    if platform == "any":
        return Order((line,))
    # A wheel for any Python 3 of a platform is asked for as if for this one: its requirements are held against that.
    tag = python.split(".")[0]
    version = tag.removeprefix("cp") if tag.startswith("cp") else "{}{}".format(*sys.version_info[:2])
    return Order((line,), target=Target(f"{version[0]}.{version[1:]}".rstrip("."), tuple(platform.split(".")), abi))


def pip_download(order: Order, into: Path) -> None:
    """Fetch an order with pip; Unavailable says what pip said."""
    with tempfile.TemporaryDirectory(prefix="casemate-order-") as place:
        requirements, constraints = Path(place, "requirements.txt"), Path(place, "constraints.txt")
        requirements.write_text("\n".join(order.lines) + "\n", encoding="utf-8")
        constraints.write_text("\n".join(order.constraints) + "\n", encoding="utf-8")
        run_pip(pip_arguments(order, requirements, constraints, into), thing=order.lines[0].split()[0])


def pip_arguments(order: Order, requirements: Path, constraints: Path, into: Path) -> list[str]:
    """What pip is told; pure."""
    arguments = ["download", "--only-binary", ":all:", "--dest", str(into), "--requirement", str(requirements)]
    if order.hashed:
        arguments += ["--no-deps", "--require-hashes"]
    elif order.constraints:
        arguments += ["--constraint", str(constraints)]
    if order.target:
        arguments += ["--python-version", order.target.python, "--implementation", "cp"]
        arguments += ["--abi", order.target.abi] if order.target.abi else []
        arguments += [part for platform in order.target.platforms for part in ("--platform", platform)]
    return arguments


def run_pip(arguments: list[str], *, thing: str) -> None:
    """Run this Python's pip; DigestMismatch where it says that bytes are not those of the lines, else Unavailable."""
    argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=_env())
    if done.returncode == 0:
        return
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if "DO NOT MATCH THE HASHES" in done.stderr:
        named = dict(line.split(maxsplit=1) for line in said if line.startswith(("Expected sha256 ", "Got ")))
        expected, found = (
            named.get(word, "other bytes").removeprefix("sha256").strip() for word in ("Expected", "Got")
        )
        raise DigestMismatch(thing, expected=expected, found=found)
    errors = [line for line in said if line.startswith("ERROR")] or said or [f"exit code {done.returncode}"]
    raise Unavailable(thing, expected="pip to do its part", found=errors[-1])


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
