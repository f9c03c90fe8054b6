"""Personal data: what `casemate.airlock.personal` finds of 2,863 marked spans in 1,500 English texts, by type.

    python bench/personal_data.py DATA/text_pii/presidio_synth_dataset_v2.json            # held out (odd templates)
    python bench/personal_data.py DATA/text_pii/presidio_synth_dataset_v2.json --tuning   # even, used while writing it

A span is found when something of its kind overlaps it; what is found is right when it overlaps a span of its type.
Types that are not claimed (addresses, places, organisations, dates…) are listed with how many there are. The French
formats (NIR, SIREN, SIRET) have no marked data here: they are tested, not measured.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from casemate.airlock.personal import find

CLAIMED = {
    "EMAIL_ADDRESS": "e-mail address",
    "PHONE_NUMBER": "telephone number",
    "CREDIT_CARD": "payment card",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP address",
    "PERSON": "name after a title",
}


def measure(texts: list[dict[str, Any]]) -> tuple[dict[str, Counter[str]], Counter[str], list[str]]:
    """Counts by claimed kind, of unclaimed spans and finds, and what went wrong in words."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in CLAIMED.values()}
    other: Counter[str] = Counter()
    wrong = []
    for text in texts:
        found = find(text["full_text"])
        spans = [(CLAIMED.get(s["entity_type"]), s) for s in text["spans"]]
        for kind, span in spans:
            if kind is None:
                other[span["entity_type"]] += 1
                continue
            hit = any(
                f.kind == kind and f.start < span["end_position"] and f.end > span["start_position"] for f in found
            )
            counts[kind]["found" if hit else "missed"] += 1
            if not hit and kind != "name after a title":
                wrong.append(f"missed {kind}: {span['entity_value']!r}")
        for f in found:
            right = any(k == f.kind and f.start < s["end_position"] and f.end > s["start_position"] for k, s in spans)
            if f.kind in counts:
                counts[f.kind]["right" if right else "wrong"] += 1
            else:
                other[f"found {f.kind}"] += 1
            if not right:
                around = text["full_text"][max(0, f.start - 20) : f.end + 10]
                wrong.append(f"wrong {f.kind}: {text['full_text'][f.start : f.end]!r} in {around!r}")
    return counts, other, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tuning", action="store_true", help="the even templates; shows what went wrong")
    args = parser.parse_args()
    texts = [t for t in json.loads(args.data.read_text("utf-8")) if t["template_id"] % 2 == (0 if args.tuning else 1)]
    counts, other, wrong = measure(texts)
    print(f"{'even templates (tuning)' if args.tuning else 'odd templates (held out)'}: {len(texts)} texts")
    print(f"{'kind':20} {'spans':>6} {'found':>6} {'recall':>7} {'wrong':>6} {'precision':>10}")
    for kind, c in counts.items():
        spans, told = c["found"] + c["missed"], c["right"] + c["wrong"]
        recall = f"{c['found'] / spans:.3f}" if spans else "–"
        precision = f"{c['right'] / told:.3f}" if told else "–"
        print(f"{kind:20} {spans:6} {c['found']:6} {recall:>7} {c['wrong']:6} {precision:>10}")
    print("not claimed:", ", ".join(f"{name} {n}" for name, n in other.most_common()))
    if args.tuning:
        print("\n".join(wrong))


if __name__ == "__main__":
    main()
