"""Files, secrets and surroundings that are not as they should be: said in words, and nothing is done with them."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import jupyter, node, request, session, verbs
from ansible_collections.hpc.jupyter.plugins.module_utils import record as rec
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, RecordError, SubmitUnclear
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.run import Result
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name, slurm
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh_config
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import explain

from hpc_jupyter import cli, ending
from hpc_jupyter.account import own_inventory
from hpc_jupyter.exits import Exit
from tests.cli.test_command import run

RECORD = rec.Record("default", "lab", "alice@lab", "slurm", generation=3, state="ready", node="c1")


@pytest.mark.parametrize("name", [pytest.param("absent", marks=pytest.mark.rows("B21")),
                                  pytest.param("file", marks=pytest.mark.rows("B22"))])
def test_notebooks_need_a_directory_before_anything_is_submitted(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    layout = Layout.at(str(tmp_path / "root"))
    os.mkdir(layout.root)
    for path in (layout.job_script, layout.command, layout.environment_script):
        Path(path).touch(mode=0o700)
    wanted = request.build(
        session="default", account="me", cluster="c", scheduler="none", directory=str(tmp_path / name)
    )
    with pytest.raises(BadInput, match=rf"^directory: {tmp_path}/{name} is not a directory on "):
        session.find_or_submit(wanted, layout, by_name("none", root=layout.root))
    assert not os.path.exists(layout.sessions)


@pytest.mark.rows("B23")
def test_sockets_are_not_made_where_others_could_change_them(short_directory: Path) -> None:
    short_directory.chmod(0o777)
    assert node.unfit(str(short_directory), home="/x") == "can be changed by other users"
    with pytest.raises(OSError, match=f"no place for the sockets on .*: {short_directory}: can be changed by other"):
        node.make_directory("/s", temporary=[str(short_directory)], home="/x")
    assert os.listdir(short_directory) == []


@pytest.mark.rows("B23")
def test_another_users_directory_is_no_place_for_sockets(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = short_directory.stat().st_uid
    if owner == 0:
        os.chown(short_directory, 4711, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert node.unfit(str(short_directory), home="/x") == "can be changed by other users"


@pytest.mark.rows("B24")
def test_a_link_is_not_on_the_way_to_the_sockets(short_directory: Path) -> None:
    (short_directory / "real").mkdir(mode=0o700)
    (short_directory / "link").symlink_to(short_directory / "real")
    made = node.make_directory("/s", temporary=[str(short_directory / "link")], home="/x")
    assert made.path.startswith(f"{short_directory}/real/hpcj-")
    (short_directory / "real").chmod(0o777)
    with pytest.raises(OSError, match="can be changed by other users"):
        node.make_directory("/s", temporary=[str(short_directory / "link")], home="/x")


@pytest.mark.rows("B25")
@pytest.mark.parametrize(("length", "problem"), [
    (57, ""), (58, "is too long: kernel sockets would exceed 107 bytes (the directory may have 57)"),
])
def test_a_runtime_directory_leaves_room_for_kernels(short_directory: Path, length: int, problem: str) -> None:
    place = short_directory / ("x" * (length - len("/hpcj-12345678/r") - len(str(short_directory)) - 1))
    place.mkdir(mode=0o700)
    assert node.unfit(str(place), home="/x") == problem


@pytest.mark.rows("B26")
def test_a_state_directory_leaves_room_for_sockets(environment: dict[str, str], tmp_path: Path) -> None:
    place = f"/tmp/{'x' * 100}"
    done = run({**environment, "XDG_STATE_HOME": place}, "launch", "alice@lab")
    assert (done.returncode, done.stdout) == (Exit.BAD_INPUT, "")
    assert done.stderr == (
        f"hpc-jupyter: state directory: {place}/hpc-jupyter/account is too long for a socket (133 bytes, allowed are "
        "89). Set XDG_STATE_HOME to a shorter path, such as /tmp/$USER-state made with mode 0700\n"
    )
    with pytest.raises(BadInput):
        ssh_config.check_directory(place)


@pytest.mark.rows("B33")
@pytest.mark.parametrize("arguments", [["--password", "canary-Zq7"], ["--password=canary-Zq7"]])
def test_a_password_that_is_typed_behind_the_option_is_not_repeated(
    capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert ending.run(cli.cli, ["setup", "alice@lab", *arguments]) == Exit.BAD_INPUT
    assert capfd.readouterr() == (
        "", "Error: --password takes no value, which others could read: the password is asked for\n"
    )


@pytest.mark.rows("B67")
def test_a_password_needs_somebody_who_types(environment: dict[str, str]) -> None:
    done = run_without_terminal(environment, "setup", "alice@lab", "--password")
    assert done == (Exit.BAD_INPUT, (
        "hpc-jupyter: --password: is typed on a terminal, and there is none. "
        "Run it in one, or put the secret into the inventory with ansible-vault\n"
    ))


@pytest.mark.rows("B67")
def test_a_host_that_asks_needs_somebody_who_types() -> None:
    cluster = Cluster(name="lab", account="alice@lab", user="alice", login_hosts=("login",), scheduler="slurm")
    told = explain("alice@login: Permission denied (publickey,keyboard-interactive).\r\n", cluster)
    assert "With a password or a code: run hpc-jupyter in a terminal." in told
    assert "run hpc-jupyter in a terminal" not in explain(
        "alice@login: Permission denied (publickey,keyboard-interactive).\r\n", cluster, asked=True
    )


def run_without_terminal(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """The command in a session of its own, which has no terminal whatever runs the tests."""
    done = subprocess.run(
        [sys.executable, "-m", "hpc_jupyter", *arguments], env=environment, capture_output=True, text=True, timeout=60,
        check=False, stdin=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.rows("B40")
def test_a_line_break_is_no_part_of_a_token(tmp_path: Path) -> None:
    layout = Layout.at(str(tmp_path))
    files = layout.session("default")
    os.makedirs(files.path)
    Path(files.token).write_text("x" * 43 + "\n")
    Path(files.cookie_secret).write_bytes(b"y" * 64)
    account = verbs.Account(layout, "me", "c", by_name("none", root=layout.root), "auto")
    assert verbs.token_of(account, "default") == "x" * 43
    with pytest.raises(jupyter.CannotStart) as refused:
        jupyter.check_secrets(files)
    assert str(refused.value).startswith(f"the token in {files.token} is not whole")
    assert "xxx" not in str(refused.value)


@pytest.mark.rows("B41")
def test_a_vaults_password_that_others_can_read_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    secret = tmp_path / "vault-password"
    secret.write_text("canary-Zq7\n")
    secret.chmod(0o644)
    environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(secret)
    done = run(environment, "launch", "alice@lab")
    assert (done.returncode, done.stderr) == (
        Exit.BAD_INPUT, f"hpc-jupyter: vault password file: {secret} is open to others. Close it: chmod 600 {secret}\n"
    )
    secret.chmod(0o600)
    assert run(environment, "accounts").returncode == Exit.BAD_INPUT  # for bob, who would be root


@pytest.mark.rows("B29", "B41")
def test_a_vault_is_looked_into_where_its_password_is_known(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "word").write_text("canary-Zq7\n")
    (tmp_path / "word").chmod(0o600)
    program = str(Path(sys.executable).parent / "ansible-vault")
    options = ["--vault-password-file", str(tmp_path / "word"), "--name", "jupyter_server_password", "elevenchars"]
    argv = [program, "encrypt_string", *options]
    made = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=60)
    facts = "hpc_scheduler: slurm\nhpc_login_hosts: [login]\n"
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/alice@lab.yml").write_text(facts + made.stdout)
    (tmp_path / "hosts").write_text("alice@lab\n")
    (tmp_path / "hosts.yml").unlink()
    environment["HPC_JUPYTER_INVENTORY"] = str(tmp_path / "hosts")
    assert run(environment, "accounts").stdout == "alice@lab  slurm, login\n"
    environment["ANSIBLE_VAULT_PASSWORD_FILE"] = str(tmp_path / "word")
    assert run(environment, "accounts").stdout == (
        f"alice@lab  {tmp_path}/host_vars/alice@lab.yml:3: jupyter_server_password: has fewer than 12 characters\n"
    )


@pytest.mark.rows("B49")
@pytest.mark.parametrize("text", ["17\n", "17;cori\n", "Welcome to cori\n* 3 notices *\n17;cori\n", "\n 17 \n"])
def test_a_job_id_is_found_among_notices(text: str) -> None:
    assert slurm.read_submit(Result(0, text, "")) == "17"


@pytest.mark.rows("B50")
@pytest.mark.parametrize("text", ["12_3\n", "12+1\n", "", "Submitted batch job\n", "-17\n"])
def test_what_is_no_job_id_is_told_and_not_taken_for_one(text: str) -> None:
    with pytest.raises(SubmitUnclear) as told:
        slurm.read_submit(Result(0, text, ""))
    assert str(told.value).startswith("sbatch succeeded without naming ")
    assert str(told.value).endswith(f" job: {text.strip()!r}")


CONTENT = json.dumps(asdict(RECORD))


@pytest.mark.rows("B58", "B60")
@pytest.mark.parametrize("content", [
    b"", b"{", CONTENT[:200].encode(), b"[" * 100_000, CONTENT.replace('"schema": 1', '"schema": "1"').encode(),
    CONTENT.replace('"generation": 3', '"generation": "3"').encode(), CONTENT.replace('"c1"', "7").encode(),
    CONTENT.encode("utf-16"), b"\0" * 1000,
])
def test_what_is_no_record_is_not_believed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record.json").write_bytes(content)
    assert rec.read(str(tmp_path / "record.json")) is None


@pytest.mark.rows("B60")
def test_a_record_of_a_newer_release_is_told(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps({**asdict(RECORD), "schema": 2, "version": "9.9"}))
    with pytest.raises(RecordError, match=r"record.json was written by hpc.jupyter 9.9, this is .*: update"):
        rec.read(str(path))


@pytest.mark.rows("B60")
def test_another_users_record_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "record.json")
    rec.write(path, RECORD)
    assert rec.read(path) == RECORD
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert rec.read(path) is None


@pytest.mark.rows("B64")
@pytest.mark.parametrize("url", ["//x", "..", "x", "/x", "", "/../", "/0123abcd", "//0123abcd/", "/0123abcd/\n"])
def test_jupyter_gets_a_base_url_of_its_own(url: str) -> None:
    with pytest.raises(jupyter.CannotStart) as refused:
        jupyter.check_base_url(url)
    assert str(refused.value) == f"the record's base_url {url!r} is not a path such as /0123abcd/. Launch again"


@pytest.mark.rows("B65")
def test_a_locale_that_is_not_utf8_is_no_obstacle(environment: dict[str, str], tmp_path: Path) -> None:
    ascii_only = {"LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": "latin-1"}
    facts = {"hpc_scheduler": "slurm", "hpc_login_hosts": ["login"], "hpc_gateways": ["gate"]}
    own = tmp_path / "größe.yml"
    own.write_text(json.dumps({"lab": {"hosts": {"alice@lab": facts, "bob@lab": {**facts, "hpc_root": "/größe"}}}},
                              ensure_ascii=False), "utf-8")  # fmt: skip
    done = run({**environment, **ascii_only, "HPC_JUPYTER_INVENTORY": str(own)}, "accounts", "--json")
    alice, bob = json.loads(done.stdout)["accounts"]
    assert alice["way"] == "gate → login"
    assert "'/größe' is not a directory for the project" in bob["problem"]


@pytest.mark.rows("B66")
@pytest.mark.parametrize("home", ["", "relative"])
def test_without_a_home_directory_nothing_is_written(environment: dict[str, str], tmp_path: Path, home: str) -> None:
    without = ("HPC_JUPYTER_INVENTORY", "XDG_STATE_HOME")
    own = {name: value for name, value in environment.items() if name not in without}
    done = run({**own, "HOME": home}, "status", "local")
    assert (done.returncode, done.stdout) == (Exit.BAD_INPUT, "")
    assert done.stderr == "hpc-jupyter: HOME: is not set, and nobody knows this user's home directory. Set it\n"


@pytest.mark.rows("B66")
def test_without_home_the_users_own_directory_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert ssh_config.state_directory("alice@lab") == f"{home}/.local/state/hpc-jupyter/alice@lab"
    assert str(own_inventory({})) == f"{home}/.config/hpc-jupyter/inventory"

