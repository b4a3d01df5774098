"""setup.yml as a person runs it: check, apply, apply again; then what breaks, and what must not be changed."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import VERSION

from tests.jupyter_env import jupyter_python
from tests.playbooks.plays import NAME, Home, Played
from tests.session_site import processes_of
from tests.wheelhouse import wheelhouse

PASSWORD = "canary-Zq7-orse battery"
WHEELS = {"jupyter_environment_wheelhouse": str(wheelhouse())}
ELSEWHERE = {**WHEELS, "jupyter_environment_path": "~/envs/lab"}


@dataclass
class Account:
    """One home, and how the first four runs on it went."""

    home: Home
    runs: dict[str, Played] = field(default_factory=dict)
    before: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    after_check: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    untouched: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def environment(self) -> Path:
        """Where it was asked for."""
        return self.home.path / "envs/lab"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    made = Account(Home(tmp_path_factory.mktemp("account") / "home"))
    made.home.path.mkdir()
    (made.home.path / ".ansible/tmp").mkdir(parents=True, mode=0o700)  # what Ansible leaves behind where it runs
    made.before, made.untouched = made.home.listing(), made.home.contents()
    made.runs["check"] = made.home.play(
        "setup.yml", "--check", "--diff", jupyter_environment_debugger=True, **ELSEWHERE
    )
    made.after_check = made.home.listing()
    made.runs["apply"] = made.home.play("setup.yml", "--diff", **ELSEWHERE)
    made.runs["again"] = made.home.play("setup.yml", "--diff", **ELSEWHERE)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An account on which nothing has been done."""
    made = Home(tmp_path / "home")
    made.path.mkdir()
    return made


def _existing() -> dict[str, object]:
    """Use a ready environment, which is faster where the environment does not matter."""
    prefix = jupyter_python().parent.parent
    return {"jupyter_environment_kind": "existing", "jupyter_environment_path": str(prefix)}


def _hash(home: Home) -> str:
    return _hashed((home.server / "jupyter_server_config.json").read_text())


def _hashed(config: str) -> str:
    found = json.loads(config).get("PasswordIdentityProvider", {}).get("hashed_password", "")
    assert isinstance(found, str)
    return found


def test_check_mode_on_a_new_account_changes_nothing_and_says_what_would(account: Account) -> None:
    run = account.runs["check"]
    assert run.code == 0, run.out
    assert account.after_check == account.before
    assert run.changed == account.runs["apply"].changed
    assert "# create: there is none yet" in run.out
    assert "# there is no key.pem" in run.out
    assert f"{NAME} would be set up in {account.home.root}" in run.out


@pytest.mark.rows("T3")
def test_who_asks_for_the_debugger_is_warned(account: Account) -> None:
    text = "/envs/lab has debugpy: while you debug, other users of the node can run code in your kernel"
    assert text in account.runs["check"].out
    assert text not in account.runs["apply"].out


def test_one_run_sets_the_account_up(account: Account) -> None:
    run = account.runs["apply"]
    assert run.code == 0, run.out
    assert f"{NAME} is set up in {account.home.root} with JupyterLab 4." in run.out
    assert "Log in with the session's token" in run.out
    assert f"Next: hpc-jupyter launch {NAME}" in run.out
    assert json.loads((account.home.root / "account.json").read_text()) == {
        "schema": 1, "account": NAME, "cluster": "local", "scheduler": "none", "detach": "setsid",
        "tls": "auto", "idle_limit_seconds": "0", "root": str(account.home.root), "version": VERSION,
    }  # fmt: skip


def test_the_second_run_changes_nothing(account: Account) -> None:
    run = account.runs["again"]
    assert (run.code, run.changed) == (0, 0), run.out
    before = account.home.listing()
    assert account.home.play("setup.yml", "--check", "--diff", **ELSEWHERE).changed == 0
    assert account.home.listing() == before


@pytest.mark.rows("T8")
def test_only_the_account_can_read_its_files(account: Account) -> None:
    root = account.home.root
    modes = {
        name: oct(stat.S_IMODE((root / name).stat().st_mode))
        for name in (".", "server", "sessions", "account.json", "environment.sh", "server/jupyter_server_config.json",
                     "server/key.pem", "server/cert.pem", "hpc-session", "job.sh", account.environment)
    }  # fmt: skip
    assert modes == {
        ".": "0o700", "server": "0o700", "sessions": "0o700", "account.json": "0o600", "environment.sh": "0o600",
        "server/jupyter_server_config.json": "0o600", "server/key.pem": "0o600", "server/cert.pem": "0o600",
        "hpc-session": "0o755", "job.sh": "0o700", account.environment: "0o700",
    }  # fmt: skip


@pytest.mark.rows("T3")
def test_the_job_finds_a_jupyter_that_runs_and_has_no_debugger(account: Account) -> None:
    script = '. "$1" && jupyter lab --version && "$HPC_JUPYTER_PYTHON" -c "import debugpy"'
    done = subprocess.run(
        ["bash", "-c", script, "job", str(account.home.root / "environment.sh")], env={"PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("4.")
    assert "No module named 'debugpy'" in done.stderr


def test_the_accounts_own_command_is_on_its_path(account: Account) -> None:
    command = account.home.path / ".local/bin/hpc-session"
    done = subprocess.run([str(command), "status"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert command.resolve() == account.home.root / "hpc-session"


def test_a_broken_environment_is_repaired(account: Account) -> None:
    packages = next((account.environment / "lib").glob("python3.*/site-packages"))
    shutil.rmtree(packages / "jupyterlab")
    checked = account.home.play("setup.yml", "--check", "--diff", **ELSEWHERE)
    reason = "# rebuild: jupyterlab cannot be imported (ModuleNotFoundError: No module named 'jupyterlab')"
    assert reason in checked.out
    assert not (packages / "jupyterlab").exists()
    repaired = account.home.play("setup.yml", "--diff", **ELSEWHERE)
    assert (repaired.code, repaired.changed) == (0, 1), repaired.out
    assert (packages / "jupyterlab").exists()


def test_offboarding_leaves_the_home_as_it_was_without_the_environment(account: Account) -> None:
    checked = account.home.play("offboard.yml", "--check", "--diff", **ELSEWHERE)
    assert f"--- before: {account.environment}\n" in checked.out, checked.out
    done = account.home.play("offboard.yml", **ELSEWHERE)
    assert (done.code, "envs/lab" in done.out) == (0, False), done.out
    assert account.home.contents() == account.untouched


def test_an_environment_that_is_not_ours_is_left_alone(home: Home) -> None:
    place = home.path / "thesis"
    place.mkdir()
    (place / "thesis.py").write_text("print()")
    run = home.play("setup.yml", **WHEELS, jupyter_environment_path=str(place))
    assert run.code != 0
    assert (
        f"{place} is there already and was not made by hpc.jupyter, so it is left alone. To use it, set "
        "jupyter_environment_kind to existing; to have one made, set jupyter_environment_path to another place"
    ) in run.out
    assert os.listdir(place) == ["thesis.py"]


def test_an_existing_environment_is_used_and_not_changed(home: Home) -> None:
    script = home.root / "environment.sh"
    _first, second = home.in_turn("jupyter_environment", *[_existing()] * 2, show=f"cat {script}")
    assert second.changed == 0
    assert f"export HPC_JUPYTER_PYTHON={jupyter_python()}" in second.shown
    assert not (home.root / "venv").exists()


@pytest.mark.rows("B31")
def test_a_password_is_kept_until_it_changes(home: Home) -> None:
    given: list[dict[str, object]] = [
        {"jupyter_server_password": PASSWORD}, {"jupyter_server_password": PASSWORD},
        {"jupyter_server_password": f" {PASSWORD}2"}, {},
    ]  # fmt: skip
    made, kept, other, none = home.in_turn(
        "jupyter_server", *given, show=f"cat {home.server / 'jupyter_server_config.json'}"
    )
    assert _hashed(made.shown).startswith("argon2:$argon2id$")
    assert (kept.changed, kept.shown) == (0, made.shown)
    assert other.changed == 1
    space = "jupyter_server_password begins or ends with a space: type it at the login too"
    assert (space in made.out, space in other.out) == (False, True)
    assert _hashed(other.shown) not in ("", _hashed(made.shown))
    assert (none.changed, _hashed(none.shown)) == (1, "")


HASH = "argon2:$argon2id$v=19$m=10240,t=10,p=8$Zml4ZWRmaXhlZGZpeGVk$" + "a" * 43
REFUSED: dict[str, list[tuple[dict[str, object], str]]] = {
    "jupyter_server": [
        ({"jupyter_server_password": "short"}, "jupyter_server_password: has fewer than 12 characters"),
        ({"jupyter_server_password_hash": "sha1:0e112c3ddfce:a68df677475c2b47b6e86d0467eec97ac5f4b85a"},
         "jupyter_server_password_hash: is a sha1 hash, which is quickly guessed"),
        ({"jupyter_server_passwrod": PASSWORD},
         "jupyter_server_passwrod: is not a variable of the roles. Did you mean jupyter_server_password?"),
        ({"jupyter_server_password": PASSWORD, "jupyter_server_tls": "allways"},
         "jupyter_server_tls: 'allways' is not one of auto, always, never. Did you mean always?"),
        ({"jupyter_server_password": PASSWORD, "jupyter_server_certificate_days": 99999},
         "jupyter_server_certificate_days: 99999 is not between 1 and 3650"),
        ({"jupyter_server_password": PASSWORD, "jupyter_server_certificate_days": "soon"},
         "jupyter_server_certificate_days"),
        ({"jupyter_server_password": PASSWORD, "jupyter_server_password_hash": HASH},
         "jupyter_server_password: is given together with jupyter_server_password_hash. Give one of them"),
        ({"jupyter_server_password": "{{ 'short' }}"}, "jupyter_server_password: has fewer than 12 characters"),
    ],
    "jupyter_access": [
        ({"jupyter_access_kye": "~/.ssh/lab"},
         "jupyter_access_kye: is not a variable of the roles. Did you mean jupyter_access_key?"),
    ],
    "jupyter_environment": [
        ({"jupyter_environment_kind": "exsting"},
         "jupyter_environment_kind: 'exsting' is not one of venv, existing, module, conda, command. "
         "Did you mean existing?"),
        ({"jupyter_environment_pacakges": []},
         "jupyter_environment_pacakges: is not a variable of the roles. Did you mean jupyter_environment_packages?"),
        ({"jupyter_environment_kind": "existing", "jupyter_environment_path": "/nowhere"},
         "no JupyterLab at /nowhere: there is no such file or directory on this account"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("role", REFUSED)
def test_what_cannot_be_is_refused_in_words(home: Home, role: str) -> None:
    said, shown = home.refusals(role, *(variables for variables, _message in REFUSED[role]), options=["-vvv"])
    for text, (_variables, message) in zip(said, REFUSED[role], strict=True):
        assert message in text
    assert "Traceback" not in shown
    assert PASSWORD not in shown
    assert not (home.root / "job.sh").exists()


def test_a_password_that_others_can_read_is_refused_by_the_role_alone(home: Home) -> None:
    playbook = home.path.parent / "open.yml"
    role = {"role": "hpc.jupyter.jupyter_server", "jupyter_server_password": PASSWORD}
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": [role]}]))
    playbook.chmod(0o644)
    played = home.play(str(playbook), ansible_python_interpreter="{{ ansible_playbook_python }}")
    assert played.code == 2
    assert f"jupyter_server_password: is in clear in {playbook}, which others can read. Encrypt it" in played.out
    assert PASSWORD not in played.out


@pytest.mark.rows("T7", "T19")
def test_the_password_is_nowhere_but_in_its_owners_file(home: Home) -> None:
    given = home.path.parent / "secret.yml"
    given.write_text(json.dumps({**_existing(), "jupyter_server_password": PASSWORD}))
    given.chmod(0o600)
    command = home.command("setup.yml", "-vvv", "--diff", "-e", f"@{given}")
    seen, out = [], home.path.parent / "out.txt"
    with out.open("wb") as stream:
        play = subprocess.Popen(command, cwd=home.path, env=home.environment(), stdout=stream, stderr=stream)
        deadline = time.monotonic() + 200
        while play.poll() is None and time.monotonic() < deadline:
            seen += processes_of("canary-Zq7")
            time.sleep(0.02)
    assert play.wait(timeout=5) == 0, out.read_text()
    assert seen == []
    hashed = _hash(home)
    for secret in (b"canary-Zq7", hashed.encode(), hashed.rpartition("$")[2].encode()):
        assert secret not in out.read_bytes()
        holding = {path for path in home.path.rglob("*") if path.is_file() and secret in path.read_bytes()}
        assert holding == (set() if secret == b"canary-Zq7" else {home.server / "jupyter_server_config.json"})
