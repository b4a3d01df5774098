# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import command, node, plan, reach, session, verbs
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec

_FACTS = {"schema": 1, "account": "alice@lab", "cluster": "lab", "scheduler": "none", "version": "0.1.0"}
_ENDED = rec.Record("default", "lab", "alice@lab", "none", generation=1, state=rec.ENDED, how="idle", reason="unused")


@pytest.fixture(name="root")
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An account directory that the command believes to be in, called through a link as from ~/bin."""
    root = tmp_path / "root"
    (root / "sessions" / "default").mkdir(parents=True)
    (root / "account.json").write_text(json.dumps(_FACTS))
    (root / "hpc-session").write_text("")
    (tmp_path / "link").symlink_to(root / "hpc-session")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "link")])
    return root


def _write(root: Path, record: rec.Record) -> None:
    (root / "sessions" / record.session).mkdir(exist_ok=True)
    rec.write(str(root / "sessions" / record.session / "record.json"), record)
    (root / "sessions" / record.session / "token").write_text("t0ken")


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["fly"], 2, "hpc-session: argument COMMAND: invalid choice: 'fly'"),
    ([], 2, "hpc-session: the following arguments are required: COMMAND"),
    (["status", "--session", "a b"], 2, "hpc-session: session: 'a b' is not allowed."),
    (["status", "--session", "gone"], 4, "hpc-session: there is no session gone; start it with: "),
    (["url"], 4, "hpc-session: there is no session default of alice@lab\n"),
    (["start", "--memory", "lots"], 2, "hpc-session: memory: 'lots' is not allowed."),
    (["start", "--idle-seconds", "86401"], 2,
     "hpc-session: --idle-seconds: 86401 is not allowed here. Write 1 to 86400 seconds (1 d)\n"),
    (["start", "--idle-seconds", "0"], 2, "hpc-session: --idle-seconds: 0, which is never, is not allowed here."),
    (["ends"], 2, "hpc-session: ends: takes the number of a job; the supervisor calls it\n"),
    (["start"], 1, "hpc-session: alice@lab is not set up: "),
    (["clean", "--session", "default"], 2, "hpc-session: session: clean is for all that is dead. Leave it out\n"),
    (["supervise", "x"], 2, "hpc-session: supervise: takes SESSION_DIR and GENERATION; the job script calls it\n"),
    (["attach", "--nonce", "$(id)"], 2, "hpc-session: nonce: '$(id)' is not 8 to 64 letters and digits\n"),
])
def test_what_goes_wrong_is_one_line_and_a_code(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    try:
        ended = command.main(arguments)
    except SystemExit as end:
        ended = int(end.code or 0)
    said = capsys.readouterr()
    assert (ended, said.out) == (code, "")
    assert said.err.startswith(words)
    assert said.err.count("\n") == 1


def test_help_shows_an_example_and_hides_the_job_s_own_entry(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "hpc-session start --time 2:00:00 --cpus 4 --memory 8G" in text
    assert "supervise" not in text


@pytest.mark.parametrize(("named", "is_known"), [("home/root", True), ("elsewhere", False), ("", False)])
def test_the_account_s_directory_is_called_as_it_was_set_up(
    root: Path, tmp_path: Path, named: str, is_known: bool
) -> None:
    (tmp_path / "home").symlink_to(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (root / "account.json").write_text(json.dumps(dict(_FACTS, root=str(tmp_path / named) if named else "")))
    assert verbs.account_here().layout.root == str(tmp_path / named if is_known else root)


@pytest.mark.parametrize("content", [None, "", "{}", "[]"])
def test_a_command_outside_a_sound_account_directory_says_so(
    root: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    (root / "account.json").unlink()
    if content is not None:
        (root / "account.json").write_text(content)
    assert command.main(["status"]) == 1
    problem = "missing: set the account up" if content is None else "damaged: set the account up again"
    assert capsys.readouterr().err == f"hpc-session: {root}/account.json is {problem} (playbook hpc.jupyter.setup)\n"


def test_status_has_a_line_for_every_session(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["status"]) == 0
    assert capsys.readouterr().out == "there are no sessions; start one with: hpc-session start\n"
    _write(root, _ENDED)
    _write(root, replace(_ENDED, session="other", how="failed", reason="no JupyterLab", node="c1", job_id="7"))
    assert command.main(["status"]) == 0
    assert capsys.readouterr().out == (
        "alice@lab default: Session default has ended (idle: unused)\n"
        "alice@lab other: Session other has ended (failed: no JupyterLab)\n")


def test_clean_says_what_it_removes_and_has_nothing_to_do_then(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "temporary_directories", lambda _environment: [str(root.parent)])
    _write(root, replace(_ENDED, scheduler="none"))
    where = f"{root}/sessions/default on {socket.gethostname()}"
    line = f"{where}: record, token and log of session default, which has ended"
    assert command.main(["clean", "--check"]) == 0
    assert capsys.readouterr().out.startswith(f"would remove {line} (idle), since ")
    assert (root / "sessions" / "default").exists()
    assert command.main(["clean"]) == 0
    assert capsys.readouterr().out.startswith(f"removed {line} (idle), since ")
    assert command.main(["clean"]) == 0
    assert capsys.readouterr().out == "nothing to do\n"
    assert not (root / "sessions" / "default").exists()


def test_status_as_json_is_a_list_of_records(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(root, _ENDED)
    assert command.main(["status", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(item["session"], item["state"], item["how"]) for item in shown] == [("default", "ended", "idle")]


@pytest.mark.parametrize(("arguments", "record", "port"), [
    ([], {"socket": "/tmp/hpcj-x/s"}, 8888), (["--port", "9000"], {"socket": "/tmp/hpcj-x/s"}, 9000),
    ([], {"port": 41234}, 41234),
])
def test_the_url_carries_the_token_for_its_owner(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], record: dict[str, object], port: int
) -> None:
    _write(root, replace(_ENDED, state=rec.READY, base_url="/0123/", **record))  # type: ignore[arg-type]
    assert command.main(["url", *arguments]) == 0
    assert capsys.readouterr().out == f"http://127.0.0.1:{port}/0123/lab?token=t0ken\n"


@pytest.mark.parametrize(("state", "token"), [(rec.READY, "t0ken"), (rec.STARTING, ""), (rec.ENDED, "")])
def test_attach_gives_the_token_of_a_ready_session_only(
    root: Path, capsys: pytest.CaptureFixture[str], state: str, token: str
) -> None:
    _write(root, replace(_ENDED, state=state))
    assert command.main(["attach", "--nonce", "abcdefgh12345678"]) == 0
    first, line = capsys.readouterr().out.splitlines()
    assert first == ""
    told = json.loads(line[len("abcdefgh12345678 "):])
    assert (told["token"], told["record"]["state"]) == (token, state)


def test_attach_waits_for_a_job_that_may_be_put_back_into_the_queue(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(root, replace(_ENDED, how="stopped", job_id="17"))
    seen = plan.View(replace(_ENDED, how="stopped", job_id="17"), ending=True)
    monkeypatch.setattr(session, "look", lambda *_arguments: seen)
    assert command.main(["attach", "--nonce", "abcdefgh12345678"]) == 8
    told = json.loads(capsys.readouterr().out.splitlines()[1][len("abcdefgh12345678 "):])
    assert told["error"] == (
        "session default was told to end; its job 17 still ends and may be put back into the queue. Try again in a "
        "moment"
    )


def test_attach_and_where_name_the_login_host(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(root, replace(_ENDED, state=rec.READY))
    for verb in ("attach", "where"):
        assert command.main([verb, "--nonce", "abcdefgh12345678"]) == 0
        line = capsys.readouterr().out.splitlines()[1]
        assert json.loads(line[len("abcdefgh12345678 "):])["host"] == socket.gethostname()


@pytest.mark.parametrize(("session_name", "code"), [("default", 0), ("other", 4)])
def test_attach_tells_who_has_set_the_account_up_also_where_there_is_no_session(
    root: Path, capsys: pytest.CaptureFixture[str], session_name: str, code: int
) -> None:
    _write(root, replace(_ENDED, state=rec.READY))
    facts = json.loads((root / "account.json").read_text())
    (root / "account.json").write_text(json.dumps({**facts, "version": "1.2.3"}))
    assert command.main(["attach", "--session", session_name, "--nonce", "abcdefgh12345678"]) == code
    assert json.loads(capsys.readouterr().out.split(" ", 1)[1])["version"] == "1.2.3"


_KEY = "ssh-ed25519 AAAAkey"


@pytest.mark.parametrize(("records", "host"), [
    ([], None),
    ([{"offer": "socket"}], None),
    ([{"offer": "lan", "state": rec.ENDED}], None),
    ([{"offer": "lan", "login_host": ""}], None),
    ([{"offer": "lan"}], "login0"),
    ([{"offer": "reverse", "state": rec.SUBMITTED}], "login0"),
    ([{"scheduler": "none"}], "login0"),
    ([{"offer": "lan", "submitted_at": "2026-01-02T00:00:00Z"}, {"offer": "lan"}], "login0"),
    ([{"offer": "lan"}, {"offer": "reverse", "submitted_at": "2026-01-02T00:00:00Z"}], "login1"),
])
def test_where_names_the_login_host_that_a_live_session_needs(
    root: Path, capsys: pytest.CaptureFixture[str], records: list[dict[str, object]], host: str | None
) -> None:
    for number, changes in enumerate(records):
        usual = {"scheduler": "slurm", "state": rec.READY, "login_host": f"login{number}", "login_host_keys": [_KEY]}
        usual["submitted_at"] = "2026-01-01T00:00:00Z"
        _write(root, replace(_ENDED, session=f"s{number}", **{**usual, **changes}))  # type: ignore[arg-type]
    assert command.main(["where", "--nonce", "abcdefgh12345678"]) == 0
    pinned = json.loads(capsys.readouterr().out.split(" ", 1)[1])["pinned"]
    assert pinned == (host and {"host": host, "host_keys": [_KEY]})


def test_where_passes_over_a_record_that_cannot_be_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "sessions" / "default" / "record.json").write_text('{"schema": 99}')
    assert command.main(["where", "--nonce", "abcdefgh12345678"]) == 0
    assert json.loads(capsys.readouterr().out.split(" ", 1)[1])["pinned"] is None


@pytest.mark.parametrize(("record", "url", "hint"), [
    ({"socket": "/tmp/s", "node": "c1"}, "http://127.0.0.1:8888/0/", "8888:/tmp/s -J login c1"),
    ({"socket": "/tmp/s", "scheduler": "none"}, "http://127.0.0.1:8888/0/", "8888:/tmp/s login"),
    ({"offer": "socket", "socket": "/tmp/s", "node": "c1", "tls_sha256": "ab"}, "https://127.0.0.1:8888/0/",
     "8888:/tmp/s -J login c1"),
    ({"offer": "lan", "address": "10.0.0.7", "port": 4711, "tls_sha256": "ab"}, "https://127.0.0.1:8888/0/",
     "8888:10.0.0.7:4711 login"),
    ({"offer": "lan", "address": "fd00::7", "port": 4711}, "http://127.0.0.1:8888/0/", "8888:[fd00::7]:4711 login"),
    ({"offer": "reverse", "socket": "/n/s", "login_socket": "/l/s"}, "http://127.0.0.1:8888/0/", "8888:/l/s login"),
    ({"offer": "reverse", "socket": "/n/s", "login_port": 4712, "tls_sha256": "ab"}, "https://127.0.0.1:8888/0/",
     "8888:127.0.0.1:4712 login"),
    ({"port": 4713}, "http://127.0.0.1:4713/0/", ""),
])
def test_the_url_s_scheme_and_its_hint_follow_the_offer(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, record: dict[str, object],
    url: str, hint: str,
) -> None:
    usual = {"scheduler": "slurm", "state": rec.READY, "base_url": "/0/", "login_host": "login"}
    shown = replace(_ENDED, **{**usual, **record})  # type: ignore[arg-type]
    monkeypatch.setattr(reach, "recorded", lambda _account, _name: shown)
    _write(root, shown)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert command.main(["url"]) == 0
    said = capsys.readouterr()
    forward = f"forward it on your computer: ssh -N -L 127.0.0.1:{hint}\n" if hint else ""
    compare = "compare the certificate: its SHA-256 is ab\n" if "tls_sha256" in record else ""
    assert (said.out, said.err) == (f"{url}lab?token=t0ken\n", forward + compare)


@pytest.mark.parametrize(("record", "arguments", "code", "words"), [
    ({}, ["--key", "x"], 2, "hpc-session: key: 'x' is not a public key."),
    ({}, ["--key", _KEY, "--permit", "x"], 2, "hpc-session: permit: 'x' is not a port."),
    ({"state": rec.STARTING}, ["--key", _KEY], 4, "hpc-session: session default of alice@lab does not run: "),
    ({"socket": "/tmp/s"}, ["--key", _KEY], 1,
     "hpc-session: session default of alice@lab has no sshd of its own to step"),
    ({"step_host_key": _KEY}, ["--key", _KEY], 1, "hpc-session: session default of alice@lab has no socket to step"),
    ({"step_host_key": _KEY, "socket": "/tmp/s"}, ["--key", _KEY], 1,
     "hpc-session: the session has prepared no sshd"),
])
def test_step_says_what_is_missing(
    root: Path, capsys: pytest.CaptureFixture[str], record: dict[str, object], arguments: list[str], code: int,
    words: str,
) -> None:
    _write(root, replace(_ENDED, **{"state": rec.READY, **record}))  # type: ignore[arg-type]
    assert command.main(["step", *arguments]) == code
    said = capsys.readouterr()
    assert (said.out, said.err.startswith(words), said.err.count("\n")) == ("", True, 1), said.err


def test_step_becomes_the_scheduler_s_own_step(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs it is told as a Slurm is; the sshd in it is tried in test_step."""
    (root / "account.json").write_text(json.dumps({**_FACTS, "scheduler": "slurm"}))
    shown = {"scheduler": "slurm", "state": rec.READY, "job_id": "4711", "node": "c1", "step_host_key": _KEY}
    _write(root, replace(_ENDED, socket="/tmp/s", **shown))  # type: ignore[arg-type]
    (root / "sessions/default/step").mkdir()
    (root / "sessions/default/step/sshd").symlink_to("/usr/sbin/sshd")
    (root / "bin").mkdir()
    (root / "bin/srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(root / "bin"))

    def become(_path: str, argv: list[str]) -> None:
        raise SystemExit(argv)

    monkeypatch.setattr(os, "execv", become)
    with pytest.raises(SystemExit) as end:
        command.main(["step", "--key", _KEY])
    argv = end.value.args[0]
    assert argv[:7] == [f"{root}/bin/srun", "--overlap", "--unbuffered", "-Q", "--jobid=4711", "-w", "c1"]
    assert argv[-5:-1] == ["/usr/sbin/sshd", "-i", "-e", "-f"]


@pytest.mark.parametrize("verb", [["offer", "lan", "--nonce", "abcdefgh12345678"], ["restart"]])
def test_a_session_that_is_over_can_be_asked_for_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    _write(root, _ENDED)
    assert command.main(verb) == 4
    said = capsys.readouterr()
    assert "alice@lab default: Session default has ended (idle: unused): " in said.out + said.err


def test_attach_frames_its_errors_too(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["attach", "--nonce", "abcdefgh12345678"]) == 4
    assert capsys.readouterr().out == (
        '\nabcdefgh12345678 {"error": "there is no session default of alice@lab", "version": "0.1.0"}\n')
