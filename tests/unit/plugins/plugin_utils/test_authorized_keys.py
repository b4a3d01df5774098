# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.authorized_keys import LOCK
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import patience
from ansible_collections.hpc.jupyter.plugins.plugin_utils.authorized_keys import (
    Answer,
    Asked,
    KeyProblem,
    arguments,
    parse,
    to_hop,
)
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster

KEY = "ssh-ed25519 " + "A" * 68
OTHER = "ssh-rsa " + "B" * 372
REVERSE = 'restrict,command="exit 1" ssh-ed25519 ' + "C" * 68 + " hpc-jupyter-reverse-lab"


def run(home: Path, verb: str, key: str = KEY, also: str = "", programs: str = "") -> Answer:
    done = subprocess.run(
        arguments(verb, key, also=also), env={"HOME": str(home), "PATH": f"{programs}{os.environ['PATH']}"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True, cwd="/",
    )
    return parse(done.stdout, where="lab")


def listing(home: Path) -> dict[str, tuple[str, bytes]]:
    def describe(path: Path) -> tuple[str, bytes]:
        return f"{stat.S_IMODE(path.stat().st_mode):o}", path.read_bytes() if path.is_file() else b""

    return {str(path.relative_to(home)): describe(path) for path in home.rglob("*")}


def put(home: Path, content: bytes | None, mode: int = 0o644) -> Path:
    file = home / ".ssh" / "authorized_keys"
    if content is not None:
        file.parent.mkdir(mode=0o750)
        file.write_bytes(content)
        file.chmod(mode)
    return file


FILES = [None, b"", b"# none yet\n\n", f"{OTHER} me@home\n".encode(), f"{OTHER} me@home".encode(), b"\xff\xfe\r\n"]


SECOND = "ssh-ed25519 " + "D" * 68


@pytest.mark.parametrize("before", FILES)
@pytest.mark.parametrize("first", [KEY, SECOND])
def test_two_keys_are_taken_back_in_either_order_without_a_trace(
    tmp_path: Path, before: bytes | None, first: str
) -> None:
    file = put(tmp_path, before)
    was = listing(tmp_path)
    run(tmp_path, "add")
    run(tmp_path, "add", SECOND)
    run(tmp_path, "remove", first)
    left = SECOND if first == KEY else KEY
    assert file.read_bytes().count(b"hpc.jupyter") == file.read_bytes().count(left.encode()) == 1
    run(tmp_path, "remove", left)
    assert listing(tmp_path) == was


@pytest.mark.parametrize("before", FILES)
def test_added_once_and_taken_back_without_a_trace(tmp_path: Path, before: bytes | None) -> None:
    file = put(tmp_path, before)
    was = listing(tmp_path)
    assert run(tmp_path, "look") == Answer(changed=False, there=False, ours=False)
    assert listing(tmp_path) == was
    assert run(tmp_path, "add") == Answer(changed=True, there=True, ours=False)
    assert file.read_bytes().startswith(before or b"")
    assert file.read_bytes().splitlines()[-1].startswith(f"{KEY} hpc.jupyter".encode())
    added = listing(tmp_path)
    assert run(tmp_path, "add") == Answer(changed=False, there=True, ours=True)
    assert listing(tmp_path) == added
    assert run(tmp_path, "remove") == Answer(changed=True, there=False, ours=False)
    assert listing(tmp_path) == was
    assert not run(tmp_path, "remove").changed


def test_what_is_made_is_private(tmp_path: Path) -> None:
    run(tmp_path, "add")
    assert {path: mode for path, (mode, _text) in listing(tmp_path).items()} == {
        ".ssh": "700", ".ssh/authorized_keys": "600"
    }


@pytest.mark.parametrize(
    "line",
    [KEY, f"{KEY} me@laptop", f'from="10.0.0.0/8,*.example.org",command="a b" {KEY} me', "\t" + KEY.replace(" ", "  ")],
)
def test_a_key_is_the_same_with_options_and_comment(tmp_path: Path, line: str) -> None:
    put(tmp_path, f"{OTHER}\n{line}\n".encode())
    was = listing(tmp_path)
    assert run(tmp_path, "add") == Answer(changed=False, there=True, ours=False)
    assert run(tmp_path, "remove") == Answer(changed=False, there=True, ours=False)
    assert listing(tmp_path) == was


@pytest.mark.parametrize("line", [f"# {KEY}", KEY + "A", f"x{KEY}", OTHER])
def test_another_line_is_not_the_key(tmp_path: Path, line: str) -> None:
    put(tmp_path, f"{line}\n".encode())
    assert run(tmp_path, "add").changed


def test_a_file_that_others_may_write_is_tightened(tmp_path: Path) -> None:
    put(tmp_path, f"{KEY}\n".encode(), mode=0o664)
    assert run(tmp_path, "look").changed
    assert run(tmp_path, "add").changed
    assert listing(tmp_path)[".ssh/authorized_keys"][0] == "644"
    assert not run(tmp_path, "add").changed


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "keys"
    real.write_text(f"{OTHER}\n")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "authorized_keys").symlink_to("../dotfiles/keys")
    assert run(tmp_path, "add").changed
    assert (tmp_path / ".ssh" / "authorized_keys").is_symlink()
    assert real.read_text() == f"{OTHER}\n{KEY} hpc.jupyter\n"
    assert [path.name for path in real.parent.iterdir()] == ["keys"]


def test_the_key_of_the_way_back_goes_too(tmp_path: Path) -> None:
    file = put(tmp_path, f"{OTHER}\n{REVERSE}\n{OTHER} x\n".encode())
    assert run(tmp_path, "remove", key="", also="hpc-jupyter-reverse-lab").changed
    assert file.read_text() == f"{OTHER}\n{OTHER} x\n"


def test_with_the_last_line_go_the_file_and_its_directory(tmp_path: Path) -> None:
    put(tmp_path, f"{REVERSE}\n".encode())
    assert run(tmp_path, "remove", key="", also="hpc-jupyter-reverse-lab").changed
    assert listing(tmp_path) == {}


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / ".ssh" / "authorized_keys").mkdir(parents=True)
    with pytest.raises(KeyProblem) as told:
        run(tmp_path, "add")
    assert str(told.value) == "lab: ~/.ssh/authorized_keys is not a file"


def test_a_shell_that_does_something_else_is_an_error() -> None:
    with pytest.raises(KeyProblem, match="lab: the shell there did not do what it was told: Welcome"):
        parse("Welcome\n", where="lab")


def test_a_key_cannot_smuggle_lines_in() -> None:
    with pytest.raises(BadInput, match="is not TYPE BASE64"):
        arguments("add", f"{KEY}\n{OTHER}")


def _program(place: Path, name: str, script: str) -> str:
    """A PATH's first entry, with a program that runs ``script`` and then is what it was."""
    place.mkdir()
    (place / name).write_text(f'#!/bin/sh\n{script}\nexec {shutil.which(name)} "$@"\n')
    (place / name).chmod(0o755)
    return f"{place}:"


@pytest.mark.parametrize("verb", ["add", "remove"])
@pytest.mark.parametrize("name", ["mktemp", "cp", "tail"])
def test_what_another_writes_meanwhile_stays(tmp_path: Path, verb: str, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    ours = f"{KEY} hpc.jupyter\n" if verb == "remove" else ""
    file = put(home, f"# first\n{ours}{OTHER} me\n".encode(), mode=0o640)
    once = f'[ -e "$HOME/once" ] || {{ echo >"$HOME/once"; sed 1d {file} >"$HOME/x"; cat "$HOME/x" >{file}; }}'
    answer = run(home, verb, programs=_program(tmp_path / "bin", name, once))
    assert (answer.changed, (home / "once").exists()) == (True, True)
    assert file.read_text() == f"{OTHER} me\n" + (f"{KEY} hpc.jupyter\n" if verb == "add" else "")
    assert listing(home)[".ssh/authorized_keys"][0] == "640"
    assert sorted(path.name for path in file.parent.iterdir()) == ["authorized_keys"]


def test_who_never_lets_go_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    file = put(home, b"")
    with pytest.raises(KeyProblem) as told:
        run(home, "add", programs=_program(tmp_path / "bin", "chmod", f"echo '#' >>{file}"))
    assert str(told.value) == (
        "lab: ~/.ssh/authorized_keys is being changed by somebody else. Run it again when that is done"
    )
    assert KEY not in file.read_text()
    assert sorted(listing(home)) == [".ssh", ".ssh/authorized_keys"]


def test_many_at_once_take_back_each_its_own(tmp_path: Path) -> None:
    keys = ["ssh-ed25519 " + letter * 68 for letter in "EFGH"]
    file = put(tmp_path, f"{OTHER} me\n".encode())
    with ThreadPoolExecutor() as pool:
        assert all(answer.changed for answer in pool.map(lambda key: run(tmp_path, "add", key), keys))
        assert file.read_text().count("hpc.jupyter") == len(keys)
        assert all(answer.changed for answer in pool.map(lambda key: run(tmp_path, "remove", key), keys))
    assert file.read_text() == f"{OTHER} me\n"
    assert not (tmp_path / LOCK).exists()


def test_a_lock_that_was_left_over_is_taken(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / LOCK).mkdir(parents=True)
    assert run(home, "add", programs=_program(tmp_path / "bin", "sleep", "exit 0")).changed
    assert not (home / LOCK).exists()


BUSY = """\
#!/bin/sh
echo >>"$0.count"
[ "$(wc -l <"$0.count")" -gt %d ] && exit 0
echo 'kex_exchange_identification: Connection closed by remote host' >&2
echo 'Connection closed by 192.0.2.1 port 22' >&2
exit 255
"""


@pytest.mark.parametrize(("times", "tried", "code"), [(0, 1, 0), (2, 3, 0), (9, 3, 255)])
def test_who_is_turned_away_by_a_busy_host_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, tried: int, code: int
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(BUSY % times, encoding="utf-8")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.01))
    facts = {"hpc_login_hosts": ["lab.example.org"], "hpc_scheduler": "none", "hpc_user": "alice"}
    cluster = Cluster.from_facts(facts, account="alice@lab")
    done = to_hop(cluster, index=0, asked=Asked("/dev/null", {}), options=[], script="exit 0\n")
    assert (done.returncode, (tmp_path / "ssh.count").read_text().count("\n")) == (code, tried)
