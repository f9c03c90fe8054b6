"""The front door: one verb, one method. The only place where rooms meet.

Rules. The command line, the console and the API call these methods and nothing else. Each verb acts as the person whose
key is unlocked, leaves its act or its refusal in the journal, and gives facts that can be printed as JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from casemate.factory import (
    access,
    answers_kept,
    assessing,
    assistant,
    conversing,
    crossing,
    datasets,
    deliveries,
    documents,
    embedding,
    everyday,
    filing,
    incoming,
    judging,
    lowering,
    members,
    offers,
    outgoing,
    passage,
    peers,
    proving,
    reading,
    receipts,
    releases,
    reporting,
    scenes,
    searching,
    serving,
    spills,
    taking,
    training,
)
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

    new_api_key = access.new_api_key
    api_keys = access.api_keys
    revoke_api_key = access.revoke_api_key
    entrance = access.entrance

    import_dataset = datasets.import_dataset

    import_documents = documents.import_documents
    read_text = documents.read_text

    take_bundle = incoming.take_bundle
    take_folder = deliveries.take_folder
    trust_pack = deliveries.trust_pack
    is_bundle = staticmethod(reporting.is_bundle)
    inspect = reporting.inspect
    order_reports = reporting.order_reports
    verify_bundle = reporting.verify_bundle
    waiting = passage.waiting
    decide = passage.decide
    # The last of each is called like a module, and hides it from here on.
    passage = documents.passage
    documents = documents.documents
    carry_out = taking.carry_out
    ask_out = outgoing.ask_out
    seal = outgoing.seal
    ask_lower = lowering.ask_lower
    # The last of each is called like its module, and hides it from here on.
    write_receipts = receipts.write_receipts
    read_receipts = receipts.read_receipts
    receipts = receipts.receipts
    add_peer = peers.add_peer
    remove_peer = peers.remove_peer
    peers = peers.peers
    diode_send = crossing.diode_send
    diode_drop = crossing.diode_drop
    diode_receive = crossing.diode_receive
    spill = spills.spill
    ask_restore = spills.ask_restore
    notice = spills.notice

    train = training.train
    resume = training.resume
    cancel = training.cancel
    runs = training.runs
    run = training.run
    run_log = training.run_log

    evaluate = judging.evaluate
    judge_again = judging.judge_again
    assess = assessing.assess
    approve = judging.approve
    release = releases.release
    revoke = releases.revoke

    detect = serving.detect

    ask = assistant.ask
    summarise = assistant.summarise
    translate = everyday.translate
    minutes = everyday.minutes
    redact = everyday.redact
    classify = everyday.classify
    kept_answer = answers_kept.read
    usable = offers.usable
    converse = conversing.converse
    embed = embedding.embed
    rerank = embedding.rerank
    document_sets = filing.sets
    document_set = filing.set_called
    papers = filing.papers
    paper = filing.paper
    paper_content = filing.content
    file_away = filing.file_away
    detect_sent = scenes.detect_sent

    search = searching.search
    index_status = searching.index_status
    freshen = searching.freshen
    rebuild_index = searching.rebuild_index

    entries = reading.entries
    show = reading.show
    get = reading.get
    lineage = reading.lineage
    journal = reading.journal
    journal_head = reading.journal_head
    verify = proving.verify
