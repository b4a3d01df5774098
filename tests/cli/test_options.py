"""What `launch` makes of its options: role variables, or a refusal before anything is contacted."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.record import Record

from hpc_jupyter import options
from hpc_jupyter.access import Attached
from hpc_jupyter.account import Account
from hpc_jupyter.commands.connect import result
from hpc_jupyter.connection import Link
from hpc_jupyter.route import Route


def _variables(**values: Any) -> dict[str, Any]:
    return dict(options.launch({"session": "default", **values}).variables)


def test_interface_and_niceness_become_variables() -> None:
    assert _variables(interface="notebook", nice="19") == {
        "jupyter_session_interface": "notebook", "jupyter_session_nice": 19, "jupyter_session_name": "default",
    }  # fmt: skip
    assert _variables(nice="0")["jupyter_session_nice"] == 0
    assert "jupyter_session_nice" not in _variables()


def test_in_a_job_that_is_there_the_inventory_s_resources_do_not_count() -> None:
    given = _variables(job="7", nice="5")
    assert (given["jupyter_session_job"], given["jupyter_session_nice"]) == ("7", 5)
    assert (given["jupyter_session_time"], given["jupyter_session_exclusive"], given["jupyter_session_extra"]) == (
        "", False, [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"interface": "classic"}, "interface: 'classic' is not one of lab, notebook, nbclassic"),
        ({"nice": "20"}, "nice: '20' is not allowed. Write a number from 0 (not at all) to 19 (as far as possible)"),
        ({"job": "x1"}, "job: 'x1' is not allowed. Write the number of a job of yours, as squeue shows it"),
        (
            {"job": "7", "time": "1:00:00", "gpus": "1"},
            "job: job 7 has its resources already, and time, gpus would change nothing. "
            "Leave time and gpus out, or job",
        ),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, str], message: str) -> None:
    with pytest.raises(BadInput) as refused:
        options.launch({"session": "default", **values})
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("interface", "page", "path", "title"),
    [
        ("lab", "", "lab", "JupyterLab"),
        ("notebook", "", "tree", "Jupyter Notebook"),
        ("nbclassic", "nbclassic/tree", "nbclassic/tree", "The classic notebook"),
    ],
)
def test_the_address_is_that_of_the_interface(interface: str, page: str, path: str, title: str) -> None:
    record = Record("default", "lab", "alice@lab", "slurm", state="ready", node="c1", interface=interface, page=page)
    link = Link(Attached(record, "secret"), Route("node", 20123, "/x/", f"http://127.0.0.1:20123/x/{path}"))
    assert (link.address, link.url) == (f"http://127.0.0.1:20123/x/{path}", f"{link.address}?token=secret")
    assert result(link).lines() == [f"{title} of alice@lab is ready on c1 (no job)"]


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("0:30:00", 1800), ("1-00:00:00", 86400)])
def test_idle_is_a_time(text: str, seconds: int) -> None:
    assert options.launch({"session": "default", "idle": text}).variables["jupyter_session_idle_seconds"] == seconds


@pytest.mark.parametrize("text", ["", "soon", "30", "0:00:59", "-1", "1:60:00", "never"])
def test_an_idle_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as told:
        options.launch({"session": "default", "idle": text})
    assert str(told.value) == (
        f"--idle: {text!r} is not a time. Write [D-]H:MM:SS from a minute on, such as 2:00:00, or 0 for never"
    )


def _account(*, local: bool = False, **facts: object) -> Account:
    known = {"ansible_connection": "local"} if local else {"hpc_login_hosts": ["h"], "hpc_scheduler": "slurm"}
    return Account("me@lab", {**known, **facts}, origins={"jupyter_session_idle_seconds": "lab.yml:3"})


LIMITED = {"jupyter_session_idle_limit_seconds": 7200}


@pytest.mark.parametrize(
    ("inventory", "wanted", "local"),
    [({}, {}, False), (LIMITED, {}, False), (LIMITED, {"idle": "2:00:00"}, False), (LIMITED, {"idle": "0"}, True)],
)
def test_an_idle_time_within_the_limit_is_taken(inventory: dict[str, Any], wanted: dict[str, Any], local: bool) -> None:
    options.check_idle(_account(local=local, **inventory), _variables(**wanted))


@pytest.mark.parametrize(
    ("inventory", "wanted", "words"),
    [
        (LIMITED, {"idle": "3:00:00"}, "--idle: 10800 is not allowed here. Write 1 to 7200 seconds (2 h)"),
        (LIMITED, {"idle": "0"}, "--idle: 0, which is never, is not allowed here. Write 1 to 7200 seconds (2 h)"),
        ({}, {"idle": "2-00:00:00"}, "--idle: 172800 is not allowed here. Write 1 to 86400 seconds (1 d)"),
        (
            {**LIMITED, "jupyter_session_idle_seconds": 7201},
            {},
            "lab.yml:3: jupyter_session_idle_seconds: 7201 is not allowed here. Write 1 to 7200 seconds (2 h)",
        ),
    ],
)
def test_an_idle_time_beyond_the_limit_is_refused(
    inventory: dict[str, Any], wanted: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadInput) as told:
        options.check_idle(_account(**inventory), _variables(**wanted))
    assert str(told.value) == words


def test_the_limit_is_not_the_person_s_to_set() -> None:
    with pytest.raises(BadInput) as told:
        options.launch({"session": "default"}, extra_variables=["jupyter_session_idle_limit_seconds=0"])
    assert str(told.value) == "-e: jupyter_session_idle_limit_seconds is the admin's. It belongs in the inventory"
