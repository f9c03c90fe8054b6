"""The front door: one verb, one method. The only place where rooms meet.

Rules. The command line, the console and the API call these methods and nothing else. Each verb acts as the person whose
key is unlocked, leaves its act or its refusal in the journal, and gives facts that can be printed as JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from casemate.factory import datasets, judging, members, proving, reading, releases, serving, training
from casemate.factory.desk import Desk, Progress, open_desk, utc_now
from casemate.factory.founding import init_site, new_key, serve_agent

__all__ = ["Factory", "Progress", "init_site", "new_key", "serve_agent"]


class Factory(Desk):
    """Everything that a person may ask of a site."""

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        key: Path | None,
        passphrase: Callable[[], bytes],
        ceiling: str | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> Factory:
        """Open the site in `root` as the person whose key is in `key`; `passphrase` is asked for if it needs one."""
        return cls(**vars(open_desk(root, key=key, passphrase=passphrase, ceiling=ceiling, now=now)))

    add_person = members.add_person
    people = members.people
    revoke_key = members.revoke_key
    add_project = members.add_project
    projects = members.projects
    policy_text = members.policy_text
    set_policy = members.set_policy

    import_dataset = datasets.import_dataset

    train = training.train
    resume = training.resume
    cancel = training.cancel
    runs = training.runs
    run = training.run
    run_log = training.run_log

    evaluate = judging.evaluate
    judge_again = judging.judge_again
    approve = judging.approve
    release = releases.release
    revoke = releases.revoke

    detect = serving.detect

    entries = reading.entries
    show = reading.show
    get = reading.get
    lineage = reading.lineage
    journal = reading.journal
    journal_head = reading.journal_head
    verify = proving.verify
