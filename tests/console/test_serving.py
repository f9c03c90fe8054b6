"""`casemate serve` as its users meet it: a process that says what it uses, answers, and stops when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from casemate.console.listening import Listening, told
from casemate.factory.desk import utc_now
from tests.console.certificates import self_signed
from tests.factory.town import Town, found


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return found(tmp_path_factory.mktemp("town"), clock=utc_now)


def started(town: Town, *words: str, who: str = "claire", isolated: bool = False) -> subprocess.Popen[str]:
    env = {"PATH": os.environ["PATH"], "CASEMATE_SITE": str(town.site), "CASEMATE_KEY": str(town.key(who))}
    program = [sys.executable, "-c", "from casemate.cli import main; main()", "serve", "--port", "0", *words]
    cell = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    return subprocess.Popen([*(cell if isolated else []), *program], stderr=subprocess.PIPE, text=True, env=env)


@contextmanager
def serving(town: Town, *words: str) -> Iterator[tuple[list[str], str]]:
    process = started(town, *words)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.rstrip("\n"))
        if line.startswith("listening at "):
            break
    try:
        yield lines, lines[-1].split()[2].rstrip(";")
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=60)[1]
    assert rest == ""


def test_it_says_what_it_uses_answers_and_ends_with_a_line_in_the_journal(town: Town) -> None:
    secret = town.acting("ines").new_api_key("script", project="harbour")["secret"]
    with serving(town) as (lines, address):
        answer = httpx.get(f"{address}/v1/models", headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 200
    assert lines[0] == f"site port in {town.site}, ceiling S, opened by claire"
    assert "no release that you may read: only quoted passages are answered" in lines
    assert address.startswith("http://127.0.0.1:")
    verbs = [line.act.verb for line in town.acting("claire").view.journal(limit=2).lines]
    assert verbs == ["serve.close", "serve.open"]
    assert {row["verdict"] for row in town.acting("claire").verify()} == {"ok"}


def test_only_operators_and_officers_start_it(town: Town) -> None:
    process = started(town, who="ines")
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (
        3, "NotAllowed: casemate serve: expected the role operator or officer, found author\n",
    )  # fmt: skip


def test_half_of_a_certificate_and_a_broken_one_are_refused(town: Town, tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    process = started(town, "--tls-cert", str(cert))
    assert (
        "TLS: expected both a certificate and its private key, found one of them" in process.communicate(timeout=60)[1]
    )
    key.write_text("no key")
    process = started(town, "--tls-cert", str(cert), "--tls-key", str(key))
    assert "TLS: expected a certificate and its private key (PEM), found" in process.communicate(timeout=60)[1]
    assert process.returncode == 3


def test_a_taken_port_is_told(town: Town) -> None:
    with serving(town) as (_, address):
        process = started(town, "--port", address.rpartition(":")[2])
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 6
    assert "expected an address of this machine with a free port" in said


def test_beyond_loopback_without_a_certificate_it_warns(town: Town) -> None:
    lines = told(town.acting("claire"), Listening("192.0.2.1", names=("api.site",)), "http://192.0.2.1:8080")
    assert any(line.startswith("WARNING: beyond loopback without a certificate") for line in lines)
    assert "names of this host: 192.0.2.1, api.site" in lines


def test_it_starts_where_there_is_nothing_but_loopback(town: Town) -> None:
    probe = subprocess.run(["unshare", "--map-root-user", "--net", "true"], capture_output=True, check=False)  # noqa: S607
    if probe.returncode:
        pytest.skip("network namespaces are not allowed here")
    process = started(town, isolated=True)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("listening at http://127.0.0.1:"):
            break
    process.terminate()
    assert process.communicate(timeout=60)[1] == "", lines
    assert lines[-1].startswith("listening at")
