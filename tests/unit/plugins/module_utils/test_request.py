# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import request
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

WALLTIME_HINT = 'Write [D-]H:MM:SS in quotes, such as "2:00:00" for two hours or "1-12:00:00" for a day and a half'


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:01:00", 60), ("2:00:00", 7200), ("02:30:15", 9015), ("1-12:00:00", 129600), ("100:00:00", 360000)],
)
def test_a_walltime_is_read(text: str, seconds: int) -> None:
    assert request.time_seconds(text) == seconds


@pytest.mark.parametrize("text", ["2:00", "1:60", "0", "forever", "7200", "1:00:60", "-1:00:00", "2:00:00\n", ""])
def test_what_is_no_walltime_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        request.time_seconds(text)
    assert str(caught.value) == f"time: {text!r} is not a walltime. {WALLTIME_HINT}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("memory", "10 GB", "memory: '10 GB' is not allowed. Write a number and K, M, G or T, such as 8G"),
        ("memory", "0G", "memory: '0G' is not allowed. Write a number and K, M, G or T, such as 8G"),
        ("gpus", "-1", "gpus: '-1' is not allowed. Write a number, or a type and a number, such as 1 or a100:2"),
        ("cpus", "0", "cpus: '0' is not allowed. Write a number from 1"),
        ("exclusive", "yes", "exclusive: 'yes' is not a boolean. Write true or false"),
        ("mail_user", "a b", "mail_user: 'a b' is not allowed. Write one mail address"),
        ("extra", ["--wrap=id"], "extra: --wrap is set by hpc.jupyter itself and cannot be given"),
        ("extra", ["--export=ALL,SECRET"], "extra: --export is set by hpc.jupyter itself and cannot be given"),
        ("extra", ["-o/tmp/x"], "extra: -o is set by hpc.jupyter itself and cannot be given"),
        ("extra", ["-l gpu=1", "-o /tmp/x"], "extra: -o is set by hpc.jupyter itself and cannot be given"),
        (
            "extra", ["job.sh"],
            "extra: 'job.sh' is not an option. Write one option a list item, such as --licenses=a:1",
        ),
        (
            "extra", ["--comment=a\nb"],
            "extra: '--comment=a\\nb' is not an option. Write one option a list item, such as --licenses=a:1",
        ),
        (
            "partition", "a b",
            ("partition: 'a b' is not allowed. Use letters, digits and the schedulers' own signs, "
             "no spaces or line breaks"),
        ),
        (
            "partition", "-x",
            ("partition: '-x' is not allowed. Use letters, digits and the schedulers' own signs, "
             "no spaces or line breaks"),
        ),
        ("time", "1:60", f"time: '1:60' is not a walltime. {WALLTIME_HINT}"),
        ("time", "30", "time: '30' is not a walltime. Write \"0:30:00\" if 30 are minutes"),
        ("time", "90", "time: '90' is not a walltime. Write \"1:30:00\" if 90 are minutes"),
    ],
)
def test_a_bad_resource_is_refused_by_name(name: str, value: object, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        request.build_resources({name: value})
    assert str(caught.value) == message


def test_an_unknown_resource_is_refused() -> None:
    with pytest.raises(BadInput, match=r"^cpu: is not a resource. Known are: time, cpus, memory"):
        request.build_resources({"cpu": "1"})


def test_what_was_not_asked_for_stays_empty() -> None:
    assert request.build_resources({"time": None, "cpus": ""}) == request.Resources()


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "..", "x" * 33, "a\n", "$(id)"])
def test_a_bad_session_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"^session: .* is not allowed. Use up to 32 letters"):
        request.session_name(name)


@pytest.mark.parametrize("path", ["notes", "~other", "./x"])
def test_a_relative_directory_is_refused(path: str) -> None:
    with pytest.raises(BadInput) as caught:
        request.check_directory(path)
    assert str(caught.value) == f"directory: {path!r} is relative. Start it with / or ~/"


@pytest.mark.parametrize("path", ["/a/{{ b }}", "/a/$(id)", "~/it's \"here\"", "/a/`b`"])
def test_signs_in_a_directory_are_only_signs(path: str) -> None:
    wanted = request.build(session="s", account="a@c", cluster="c", scheduler="none", directory=path)
    assert request.from_json(wanted.to_json()).directory == path


def test_a_request_survives_its_file() -> None:
    wanted = request.build(
        session="s", account="a@c", cluster="c", scheduler="slurm", idle_seconds=60,
        resources={"time": "2:00:00", "gpus": "a100:2", "exclusive": True, "extra": ["--licenses=a:1"]},
    )
    assert request.from_json(wanted.to_json()) == wanted


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"session": "s"}', b"\xff"])
def test_a_torn_request_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput, match=r"^request.json: is not a request"):
        request.from_json(content)


@pytest.mark.parametrize(("name", "value", "allowed"), [
    ("offer", "port", "socket, loopback, lan, reverse"), ("tls", "sometimes", "auto, always, never"),
])
def test_an_unknown_word_is_refused_with_those_that_are_known(name: str, value: str, allowed: str) -> None:
    with pytest.raises(BadInput) as caught:
        request.build(session="s", account="a@c", cluster="c", scheduler="none", **{name: value})  # type: ignore[arg-type]
    assert str(caught.value) == f"{name}: {value!r} is not one of {allowed}"


@pytest.mark.parametrize(("field", "value", "message"), [
    ("nice", 20, "nice: '20' is not allowed. Write a number from 0 (not at all) to 19 (as far as possible)"),
    ("nice", -5, "nice: '-5' is not allowed. Write a number from 0 (not at all) to 19 (as far as possible)"),
    ("nice", "very", "nice: 'very' is not allowed. Write a number from 0 (not at all) to 19 (as far as possible)"),
    ("job", "x", "job: 'x' is not allowed. Write the number of a job of yours, as squeue shows it"),
    ("job", "0", "job: '0' is not allowed. Write the number of a job of yours, as squeue shows it"),
    ("interface", "labb", "interface: 'labb' is not one of lab, notebook, nbclassic"),
])
def test_what_a_session_cannot_be_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(BadInput) as raised:
        request.build(session="x", account="a@b", cluster="b", scheduler="none", **{field: value})  # type: ignore[arg-type]
    assert str(raised.value) == message


def test_niceness_and_interface_are_kept() -> None:
    wanted = request.build(session="x", account="a@b", cluster="b", scheduler="none", nice="19", interface="notebook")
    assert (wanted.nice, wanted.interface) == (19, "notebook")
    assert request.from_json(wanted.to_json()) == wanted


def test_a_job_that_is_there_has_its_resources() -> None:
    asked = {"time": "1:00:00", "exclusive": True}
    with pytest.raises(BadInput) as raised:
        request.build(session="x", account="a@b", cluster="b", scheduler="slurm", job="7", resources=asked)
    assert str(raised.value) == (
        "job: job 7 has its resources already, and time, exclusive would change nothing. "
        "Leave time and exclusive out, or job"
    )
    empty = {"time": "", "exclusive": False, "extra": []}
    wanted = request.build(session="x", account="a@b", cluster="b", scheduler="slurm", job="7", resources=empty)
    assert wanted.job == "7"


@pytest.mark.parametrize(("asked", "minutes"), [
    ((), ()), ([5], (5,)), (["1", 30, 5, 30], (30, 5, 1)), ("30,5", (30, 5)),
])
def test_warnings_are_sorted_minutes(asked: Any, minutes: tuple[int, ...]) -> None:
    assert request.check_warn_minutes(asked) == minutes


@pytest.mark.parametrize("asked", ["30;5", [0], ["x"], [-1], [True], list(range(1, 30))])
def test_warnings_that_are_no_minutes_are_refused(asked: Any) -> None:
    with pytest.raises(BadInput, match=r"^warn_minutes: "):
        request.check_warn_minutes(asked)
