"""What is rendered is read by real programs, and they read what was meant: ssh its configuration, sh its words."""

from __future__ import annotations

import contextlib
import os
import shlex
import string
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import archive
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.module_utils.request import Resources, build_resources
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import slurm, slurm_step
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers.base import Order
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.route import Way
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import gateway_alias, render
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from hpc_jupyter import kit
from tests.properties import seeds

SHOW = '#!/bin/sh\nfor word; do printf "%s\\0" "$word"; done\n'
"""A program that says what it was given."""

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
users = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_@+-]{0,12}", fullmatch=True).filter(lambda user: user != "root")
pins = st.text(string.ascii_letters + string.digits + "+/", min_size=43, max_size=43).map("SHA256:{}".format)
gateways = st.fixed_dictionaries(
    {"host": names, "user": users, "port": st.integers(1, 65535), "relay": st.sampled_from(["jump", "nc"])}
)
words = (seeds.texts | st.text(max_size=12)).map(lambda text: text.replace("\0", "")).filter(
    lambda text: text.isprintable() or not any(0xD800 <= ord(char) < 0xE000 for char in text)
)
"""Arguments of a program: no NUL, and text."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with programs that say what they were given: ssh, hpc-session and show."""
    place = tmp_path_factory.mktemp("shown")
    for name in ("ssh", "show", "hpc-session"):
        (place / name).write_text(SHOW)
        (place / name).chmod(0o755)
    return place


def _sh(command: list[str], *, place: Path, given: str = "") -> list[str]:
    done = subprocess.run(
        command, input=given.encode(), capture_output=True, timeout=30, check=True, cwd=place,
        env={"PATH": f"{place}:{os.environ['PATH']}", "HOME": str(place), "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    return done.stdout.decode().split("\0")[:-1]


def _effective(config: Path, host: str) -> dict[str, str]:
    """What the real ssh makes of it."""
    argv = ["ssh", "-G", "-F", str(config), "--", host]
    told = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=20)
    return dict(line.split(" ", 1) for line in told.stdout.splitlines() if " " in line)


@settings(max_examples=25)
@given(name=names, user=users, login=names, port=st.integers(1, 65535), way=st.lists(gateways, max_size=3),
       pinned=st.lists(pins, min_size=1, max_size=2))
def test_ssh_reads_what_was_meant(
    tmp_path: Path, name: str, user: str, login: str, port: int, way: list[dict[str, Any]], pinned: list[str]
) -> None:
    facts = {"hpc_login_hosts": [login], "hpc_login_port": port, "hpc_scheduler": "slurm", "hpc_gateways": way,
             "hpc_user": user, "hpc_host_keys": {login: pinned}}  # fmt: skip
    try:
        cluster = Cluster.from_facts(facts, account=f"{user}@{name}")
    except BadInput:
        reject()  # two hops are the same, or a name is a number
    config = tmp_path / "ssh_config"
    config.write_text(render(cluster, directory=str(tmp_path), own_configs=[]))
    hops = [(gateway_alias(cluster, index), gateway["host"], gateway["user"], gateway["port"])
            for index, gateway in enumerate(way)]  # fmt: skip
    for alias, host, who, number in [*hops, (name, login, user, port)]:
        told = _effective(config, alias)
        assert (told["hostname"].lower(), told["user"], told["port"]) == (host.lower(), who, str(number))
        assert (told["stricthostkeychecking"], told["forwardagent"], told["permitlocalcommand"]) == ("true", "no", "no")
        assert ("proxyjump" in told or "proxycommand" in told) == (alias != [*hops, (name,)][0][0])
    assert all(f'"{pin}"' in _effective(config, name)["knownhostscommand"] for pin in pinned)


@settings(max_examples=30)
@given(argv=st.lists(words, max_size=4))
@example(argv=["it's", '"', "$(touch canary)", "`touch canary`", "a\nb", "\\", "-n", "*", "~", ";", "{{ x }}"])
def test_sh_gets_the_words_that_were_meant(shown: Path, argv: list[str]) -> None:
    text = ssh._script(["show", *argv], "0123456789abcdef")
    told = _sh(["/bin/sh", "-s"], place=shown, given=text)
    framed = "\0".join([*told, ""]).removeprefix("\n0123456789abcdef begin\n")
    assert framed.split("\0")[:-1] == argv
    assert not (shown / "canary").exists()


@settings(max_examples=30)
@given(argv=st.lists(words, max_size=4))
def test_a_command_to_type_is_the_command(shown: Path, argv: list[str]) -> None:
    way = Way("node", 20123, "", config="/a b/it's", target="c2", forwards=tuple(argv))
    if argv:
        assert _sh(["/bin/sh", "-c", way.command], place=shown) == list(way.forward[1:])


@settings(max_examples=30)
@given(path=words.filter(lambda text: text not in ("", ".", "..") and "/" not in text and len(text.encode()) < 200))
@example(path="a\tb")
@example(path="a\nb")
@example(path="x\t")
@example(path="a b")
@example(path="'")
def test_the_accounts_command_starts_its_python_wherever_that_is(tmp_path: Path, path: str) -> None:
    python = tmp_path / path
    python.write_text(SHOW)
    python.chmod(0o755)
    program = tmp_path / "the command"
    program.write_bytes(archive.shebang(str(python)))
    program.chmod(0o755)
    assert _sh([str(program), "a b", "$x"], place=tmp_path)[1:] == ["a b", "$x"]


RESOURCES = {
    "time": st.sampled_from(["1:00:00", "1-00:00:00"]), "memory": st.sampled_from(["8G", "500M"]), "partition": names,
    "project": names, "gpus": st.sampled_from(["1", "a100:2"]), "constraint": seeds.texts, "dependency": seeds.texts,
    "extra": st.lists(st.builds("--{}={}".format, st.sampled_from(["comment", "licenses"]), seeds.texts), max_size=2),
}  # fmt: skip


@given(wanted=st.fixed_dictionaries({}, optional=RESOURCES), place=words.filter(bool))
def test_an_order_is_one_word_an_option_and_ends_with_the_job(wanted: dict[str, Any], place: str) -> None:
    with contextlib.suppress(BadInput):
        job = ("/h/job.sh", place, "1")
        order = Order("hpc-jupyter-s", job, f"/h/{place}", f"/h/{place}.log", build_resources(wanted))
        argv = slurm.submit_argv(order)
        assert argv[-3:] == ["/h/job.sh", place, "1"]
        assert all(word.startswith("-") for word in argv[1:-3])
        assert len(argv) == 9 + sum(bool(value) for name, value in wanted.items() if name != "extra") + len(
            wanted.get("extra", [])
        )
        assert shlex.split(shlex.join(argv)) == argv
        step = slurm_step.submit_argv(Order("n", order.argv, order.directory, order.log, Resources(), job="7"))
        assert step[-3:] == argv[-3:]


KIT = Cluster(name="lab", account="alice@lab", user="alice", login_hosts=("login",), scheduler="slurm", root="~/.")


@settings(max_examples=30)
@given(given_=st.dictionaries(st.sampled_from(["partition", "project", "directory", "time"]), words, max_size=3))
@example(given_={"directory": "~/work", "time": "2:00:00"})
@example(given_={"directory": "$(touch canary)"})
def test_a_kits_command_line_says_what_was_meant(shown: Path, given_: dict[str, str]) -> None:
    with contextlib.suppress(BadInput):
        options = kit.start_options({f"jupyter_session_{name}": value for name, value in given_.items()})
        line = kit.start_command(KIT, port="20123", words=" ".join(options)).replace(">&2", "")
        told = "\0".join(_sh(["/bin/sh", "-c", line], place=shown)).split("\0")
        expected = [word.replace("~/", f"{shown}/") if word.startswith("~/") else word for word in options]
        assert told[:len(options) + 1] == ["start", *expected]
        assert not (shown / "canary").exists()
