"""The command as a person meets it: help, messages, exit codes, no traceback whatever happens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc_jupyter.account import collection_path
from hpc_jupyter.exits import MEANINGS, Exit

EXAMPLES = {
    "launch": [
        "hpc-jupyter launch alice@lab --time 2:00:00 --cpus 4 --memory 8G",
        "hpc-jupyter launch local",
        "hpc-jupyter launch --first cori,hydra,dice     (wherever it is ready first; the others are cancelled)",
    ],
    "connect": ["hpc-jupyter connect alice@lab"],
    "disconnect": ["hpc-jupyter disconnect alice@lab"],
    "status": [
        "hpc-jupyter status", "hpc-jupyter status alice@lab --json",
        "hpc-jupyter status --notify     (a word on the desktop when a queued session is ready)",
        "hpc-jupyter status --all --html sessions.html     (a page of the whole inventory)",
    ],
    "restart": ["hpc-jupyter restart alice@lab"],
    "stop": ["hpc-jupyter stop alice@lab", "hpc-jupyter stop alice@lab --all"],
    "doctor": ["hpc-jupyter doctor alice@lab", "hpc-jupyter doctor alice@lab --bundle ticket.txt"],
    "clean": ["hpc-jupyter clean --dry-run", "hpc-jupyter clean alice@lab"],
    "logs": ["hpc-jupyter logs alice@lab --lines 200"],
    "accounts": ["hpc-jupyter accounts"],
    "trust": ["hpc-jupyter trust lab", "hpc-jupyter trust lab --write --fingerprint SHA256:…"],
    "login": ["hpc-jupyter login alice@lab"],
    "logout": ["hpc-jupyter logout alice@lab", "hpc-jupyter logout"],
    "setup": ["hpc-jupyter setup alice@lab", "hpc-jupyter setup alice@lab --password"],
    "onboard": ["hpc-jupyter onboard alice@lab"],
    "kit": ["hpc-jupyter kit alice@lab", "hpc-jupyter kit alice@lab --directory /media/stick/lab"],
    "ca": ["hpc-jupyter ca make", "hpc-jupyter ca show", "hpc-jupyter ca install"],
}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, without a terminal."""
    argv = [sys.executable, "-m", "hpc_jupyter", *arguments]
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_every_command_is_listed_and_the_exit_codes_are_explained(environment: dict[str, str]) -> None:
    shown = run(environment, "--help")
    assert shown.returncode == 0
    listed = shown.stdout.split("Commands:\n")[1].split("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == list(EXAMPLES)
    assert "..." not in listed
    for code, text in MEANINGS.items():
        assert f"  {code.value:>3}  {text}\n" in shown.stdout


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_help_of_a_command_shows_an_example(environment: dict[str, str], command: str) -> None:
    shown = run(environment, command, "--help")
    assert shown.returncode == 0
    assert shown.stdout.split("Example")[1].splitlines()[1:] == [f"  {line}" for line in EXAMPLES[command]]
    assert "-i, --inventory" in shown.stdout
    assert "--json" in shown.stdout


def test_help_is_quick_because_it_loads_nothing_heavy(environment: dict[str, str]) -> None:
    shown = run({**environment, "PYTHONPROFILEIMPORTTIME": "1"}, "--help")
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in shown.stderr.splitlines() if "|" in line}
    assert loaded & {"ansible", "ansible_runner", "yaml", "rich", "urllib3", "tenacity", "filelock", "json"} == set()
    assert "click" in loaded


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["launch", "alise@lab"], Exit.BAD_INPUT,
            "hpc-jupyter: ACCOUNT: 'alise@lab' is not in the inventory. Did you mean alice@lab?\n",
        ),
        (
            ["status", "zzz"], Exit.BAD_INPUT,
            "hpc-jupyter: ACCOUNT: 'zzz' is not in the inventory. It has alice@lab, bob@lab, local (INVENTORY)\n",
        ),
        (
            ["launch", "bob@lab"], Exit.BAD_INPUT,
            "hpc-jupyter: INVENTORY:4: hpc_user: bob@lab would log in as root, which is refused on clusters. "
            "Use a person's own account\n",
        ),
        (
            ["launch", "alice@lab", "--time", "1:60"], Exit.BAD_INPUT,
            "hpc-jupyter: time: '1:60' is not a walltime. Write [D-]H:MM:SS in quotes, such as \"2:00:00\" for "
            'two hours or "1-12:00:00" for a day and a half\n',
        ),
        (
            ["launch", "alice@lab", "--session", "../x"], Exit.BAD_INPUT,
            "hpc-jupyter: session: '../x' is not allowed. "
            "Use up to 32 letters, digits, '_' or '-', a letter or digit first\n",
        ),
        (
            ["stop", "alice@lab", "--session", "../x"], Exit.BAD_INPUT,
            "hpc-jupyter: session: '../x' is not allowed. "
            "Use up to 32 letters, digits, '_' or '-', a letter or digit first\n",
        ),
        (
            ["restart", "alice@lab", "--session", "../x"], Exit.BAD_INPUT,
            "hpc-jupyter: session: '../x' is not allowed. "
            "Use up to 32 letters, digits, '_' or '-', a letter or digit first\n",
        ),
        (
            ["launch", "alice@lab", "--extra=--wrap=id"], Exit.BAD_INPUT,
            "hpc-jupyter: extra: --wrap is set by hpc.jupyter itself and cannot be given\n",
        ),
        (
            ["launch", "alice@lab", "-e", "ansible_ssh_common_args=-oProxyCommand=id"], Exit.BAD_INPUT,
            "hpc-jupyter: -e: 'ansible_ssh_common_args' cannot be set here. Role variables (jupyter_…) can; facts "
            "about the cluster and Ansible's own settings belong in the inventory\n",
        ),
        (
            ["setup", "alice@lab", "-e", "jupyter_server_password=hunter2"], Exit.BAD_INPUT,
            "hpc-jupyter: -e: jupyter_server_password is a secret, and others can read command lines. "
            "Use `hpc-jupyter setup ACCOUNT --password`, or a vault in the inventory\n",
        ),
        (
            ["launch", "alice@lab", "-e", "x"], Exit.BAD_INPUT,
            "hpc-jupyter: -e: 'x' is not KEY=VALUE. Write for example -e jupyter_session_nodes=2\n",
        ),
        (
            ["stop", "alice@lab", "--all", "--session", "b"], Exit.BAD_INPUT,
            "hpc-jupyter: --session: names one session, and --all means all of them. Leave one of them out\n",
        ),
        (
            ["stop"], Exit.BAD_INPUT,
            "hpc-jupyter: ACCOUNT: is missing. Name one, or add --all to end the sessions of every account\n",
        ),
        (
            ["status", "alice@lab", "--all"], Exit.BAD_INPUT,
            "hpc-jupyter: --all: means every account, and alice@lab is one. Leave one of them out\n",
        ),
        (
            ["launch", "local", "--port", "8888"], Exit.BAD_INPUT,
            "hpc-jupyter: --port: local is this machine, where Jupyter chooses its own port. Leave it out\n",
        ),
        (
            ["-i", "/does/not/exist", "accounts"], Exit.BAD_INPUT,
            "hpc-jupyter: -i: /does/not/exist does not exist. Name an inventory file or directory\n",
        ),
    ],
)  # fmt: skip
def test_a_wrong_input_is_refused_before_anything_is_contacted(
    environment: dict[str, str], arguments: list[str], code: Exit, message: str
) -> None:
    done = run(environment, *arguments)
    inventory = environment["HPC_JUPYTER_INVENTORY"]
    assert (done.returncode, done.stdout, done.stderr) == (code, "", message.replace("INVENTORY", inventory))
    assert not (Path(environment["XDG_STATE_HOME"]) / "hpc-jupyter" / "alice@lab" / "control").exists()


def test_a_gateway_that_does_not_exist_is_named(environment: dict[str, str]) -> None:
    done = run(environment, "launch", "alice@lab")
    assert done.returncode == Exit.UNREACHABLE
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "Logging in to lab: gateway gate.invalid → login host login.invalid",
        "hpc-jupyter: lab: gateway gate.invalid: the name is not known here. Check hpc_gateways, and this machine's "
        "network or VPN",
    ]


def test_one_account_that_cannot_be_reached_does_not_hide_the_others(environment: dict[str, str]) -> None:
    done = run(environment, "status", "alice@lab", "local", "--json")
    dead, well = json.loads(done.stdout)["accounts"]
    assert done.returncode == Exit.UNREACHABLE
    assert (dead["account"], dead["sessions"], dead["cause"]) == ("alice@lab", [], "")
    assert dead["problem"].startswith("lab: gateway gate.invalid: the name is not known here. ")
    assert (well["account"], well["sessions"], well["problem"]) == ("local", [], "")


def test_an_account_without_sessions_is_asked_by_a_play(environment: dict[str, str]) -> None:
    done = run(environment, "status", "local")
    assert (done.returncode, done.stdout, done.stderr) == (0, "local: no session\n", "")


def test_the_accounts_are_listed_with_their_way(environment: dict[str, str]) -> None:
    done = run(environment, "accounts")
    bad = f"{environment['HPC_JUPYTER_INVENTORY']}:4: hpc_user: bob@lab would log in as root"
    assert done.stdout.splitlines() == [
        "alice@lab  slurm, gate.invalid → login.invalid",
        f"bob@lab    {bad}, which is refused on clusters. Use a person's own account",
        "local      no scheduler, this machine",
    ]
    assert done.returncode == Exit.BAD_INPUT


def test_without_an_inventory_of_ones_own_its_place_and_examples_are_named(environment: dict[str, str]) -> None:
    without = {**environment, "HPC_JUPYTER_INVENTORY": "", "XDG_CONFIG_HOME": "/does/not/exist"}
    done = run(without, "launch", "alice@cori")
    assert done.returncode == Exit.BAD_INPUT
    assert done.stderr == (
        "hpc-jupyter: ACCOUNT: 'alice@cori' is not in the inventory. There is no inventory of yours yet: write "
        "/does/not/exist/hpc-jupyter/inventory/hosts.yml; examples to copy, one for each shape of cluster: "
        f"{collection_path()}/inventory/group_vars\n"
    )


def test_the_account_of_this_machine_is_found_beside_an_inventory_of_ones_own(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "own.yml").write_text("all: {hosts: {more: {ansible_connection: local}}}\n")
    done = run(environment, "-i", str(tmp_path / "own.yml"), "launch", "local")
    assert done.stderr == (
        "hpc-jupyter: ACCOUNT: 'local' is not in the inventory. "
        f"It is in the inventory that comes with hpc-jupyter: -i {collection_path()}/inventory\n"
    )


def test_options_may_stand_before_and_after_the_command(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "more.yml").write_text("all: {hosts: {more: {ansible_connection: local}}}\n")
    done = run(environment, "-i", str(tmp_path / "hosts.yml"), "accounts", "--json", "-i", str(tmp_path / "more.yml"))
    names = [item["account"] for item in json.loads(done.stdout)["accounts"]]
    assert names == ["alice@lab", "bob@lab", "local", "more"]


def test_the_inventory_that_comes_with_it_has_this_machine(environment: dict[str, str]) -> None:
    del environment["HPC_JUPYTER_INVENTORY"]
    done = run(environment, "accounts")
    assert "local  no scheduler, this machine" in done.stdout.splitlines()


def test_a_persons_own_inventory_comes_before_the_one_that_comes_with_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    own = tmp_path / ".config" / "hpc-jupyter" / "inventory"
    own.mkdir(parents=True)
    (own / "hosts.yml").write_text("all: {hosts: {mine: {ansible_connection: local}}}\n")
    del environment["HPC_JUPYTER_INVENTORY"]
    assert run(environment, "accounts").stdout == "mine  no scheduler, this machine\n"


def test_an_inventory_that_needs_a_vault_password_says_so(environment: dict[str, str], tmp_path: Path) -> None:
    secret = "{hpc_root: !vault '$ANSIBLE_VAULT;1.1;AES256\n\n  6231\n\n  '}"
    (tmp_path / "hosts.yml").write_text(f"all: {{hosts: {{a@b: {secret}, local: {{ansible_connection: local}}}}}}\n")
    done = run(environment, "accounts")
    assert done.returncode == Exit.BAD_INPUT
    assert "vault" in done.stdout.lower()
    assert "local  no scheduler, this machine" in done.stdout


def test_nothing_to_disconnect_is_no_failure(environment: dict[str, str]) -> None:
    done = run(environment, "disconnect", "alice@lab")
    assert (done.returncode, done.stdout) == (0, "This computer holds no connection to session default of alice@lab\n")


def test_an_account_that_was_never_set_up_has_no_session(environment: dict[str, str]) -> None:
    done = run(environment, "connect", "local")
    assert done.returncode == Exit.FAILED
    command = "~/.local/share/hpc-jupyter/local/hpc-session"
    assert done.stderr.startswith(f"hpc-jupyter: local: its command {command} does not answer (exit 127)")
    assert done.stderr.endswith(". Set the account up: hpc-jupyter setup local\n")


def test_a_reader_that_goes_away_is_no_traceback(environment: dict[str, str]) -> None:
    command = f"{sys.executable} -m hpc_jupyter accounts | true"
    argv = ["bash", "-c", command]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_at_the_very_start_ends_quietly(
    environment: dict[str, str], number: signal.Signals, code: int
) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "hpc_jupyter", "accounts"]
    before = signal.signal(number, signal.SIG_DFL)  # who runs the tests under nohup has it ignored
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(number, before)
    assert process.stderr
    assert any(line.endswith(" hpc_jupyter.cli\n") for line in process.stderr)
    time.sleep(0.2)  # before, it is Python's own start that a signal meets
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode in (code, 0, -number)
    assert "Traceback" not in said


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8"])
def test_any_locale_will_do(environment: dict[str, str], locale: str) -> None:
    done = run({**environment, "LC_ALL": locale, "LANG": locale}, "accounts")
    assert done.stdout.splitlines()[0] == "alice@lab  slurm, gate.invalid → login.invalid"


def test_a_traceback_is_there_for_who_asks(environment: dict[str, str]) -> None:
    argv = [sys.executable, "-m", "hpc_jupyter", "launch", "nobody"]
    shown = {**environment, "HPC_JUPYTER_DEBUG": "1"}
    done = subprocess.run(argv, env=shown, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == Exit.BAD_INPUT
    assert "Traceback" in done.stderr
