"""What a person is told while they wait."""

from __future__ import annotations

import io
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION
from ansible_collections.hpc.jupyter.plugins.module_utils.words import describe

from hpc_jupyter.access import needs_setup
from hpc_jupyter.events import Step
from hpc_jupyter.progress import Plain
from hpc_jupyter.results import Hints
from hpc_jupyter.watch import Watcher


@pytest.mark.parametrize(
    ("session", "text"),
    [
        ({"state": "submitted", "job_id": "17"}, "Submitted as job 17"),
        ({"state": "intended"}, "Submitted"),
        (
            {"state": "queued", "job_id": "17", "reason": "Priority"},
            "Job 17 waits in the queue: other jobs come first (Priority)",
        ),
        (
            {"state": "queued", "job_id": "17", "reason": "QOSMaxJobsPerUserLimit", "starts_at": "soon"},
            "Job 17 waits in the queue: QOSMaxJobsPerUserLimit; expected to start at soon",
        ),
        ({"state": "starting", "job_id": "17", "node": "c2"}, "Job 17 started on c2; Jupyter is starting"),
        ({"state": "ready", "job_id": "17", "node": "c2"}, "Ready on c2 as job 17"),
        ({"state": "unknown", "reason": "squeue: timeout"}, "Cannot tell now: squeue: timeout"),
        (
            {"state": "ended", "session": "gpu", "how": "time limit", "reason": "TIMEOUT"},
            "Session gpu has ended (time limit: TIMEOUT)",
        ),
        ({"state": "ended", "session": "gpu"}, "Session gpu has ended (no reason given)"),
    ],
)
def test_a_state_is_told_in_words(session: dict[str, Any], text: str) -> None:
    assert describe(session) == text


def test_each_state_is_told_once() -> None:
    stream = io.StringIO()
    watch = Watcher(Plain(stream))
    for state in ("submitted", "queued", "queued", "starting", "starting", "ready"):
        session = {"state": state, "job_id": "17", "node": "c2", "reason": "Resources" if state == "queued" else ""}
        watch(Step("retry", account="me@lab", result={"session": session}))
        watch(Step("tick"))
    assert stream.getvalue().splitlines() == [
        "Submitted as job 17",
        "Job 17 waits in the queue: no free nodes yet (Resources)",
        "Job 17 started on c2; Jupyter is starting",
        "Ready on c2 as job 17",
    ]


@pytest.mark.parametrize(
    ("installed", "needed"), [("", True), ("0.0.9", True), (VERSION, False), ("999.2.0", False), ("999.0", False)]
)
def test_an_account_is_set_up_when_it_never_was_or_by_an_older_release(installed: str, needed: bool) -> None:
    assert needs_setup(installed) is needed


def test_a_hint_leads_to_the_same_inventory_and_session() -> None:
    hints = Hints(["my hosts.yml"], "me@lab", "gpu")
    assert hints.command("stop") == "hpc-jupyter -i 'my hosts.yml' stop me@lab --session gpu"
