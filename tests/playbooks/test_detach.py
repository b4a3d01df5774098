"""Sessions of a machine without a queue in windows of the real tmux and screen."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import children, record
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import Layout
from ansible_collections.hpc.jupyter.plugins.module_utils.session import job_name

from tests.jupyter_env import jupyter_python
from tests.playbooks.plays import Home
from tests.session_site import PERSON, Site, wait_for


@dataclass(frozen=True)
class Desk:
    """A person at a login host, with tmux or screen."""

    site: Site
    program: str

    def run(self, *arguments: str, **more: str) -> str:
        """Run tmux or screen by hand."""
        argv = [*PERSON, self.program, *arguments]
        done = subprocess.run(argv, env=self.site.environment(more), check=False, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=30)  # fmt: skip
        return done.stdout

    def window(self, session: str) -> str:
        """What a session's window is called."""
        return job_name(session, Layout(self.site.layout.root))

    def windows(self) -> list[str]:
        """The windows there are: sessions of tmux, or of screen without their process ids."""
        if self.program == "tmux":
            return self.run("list-sessions", "-F", "#{session_name}").split()
        lines = [line.split() for line in self.run("-ls").splitlines() if line.startswith("\t")]
        return [words[0].partition(".")[2] for words in lines]

    def shown(self, session: str) -> str:
        """What a session's window shows."""
        if self.program == "tmux":
            return self.run("capture-pane", "-p", "-J", "-S", "-", "-t", f"={self.window(session)}:")
        place = self.site.home / "hardcopy"
        self.run("-S", self.window(session), "-p", "0", "-X", "hardcopy", "-h", str(place))
        wait_for(place.exists)
        return place.read_text(errors="replace")

    def close(self, session: str) -> None:
        """Close a session's window by hand."""
        window = self.window(session)
        self.run(*(("kill-session", "-t", f"={window}") if self.program == "tmux" else ("-S", window, "-X", "quit")))


@pytest.fixture(name="desk", params=["tmux", "screen"])
def _desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    site = Site(tmp_path, jupyter_python(), detach=request.param)
    for name in ("TMUX_TMPDIR", "SCREENDIR"):
        (tmp_path / name).mkdir(mode=0o700)
        site.login[name] = str(tmp_path / name)
    yield Desk(site, request.param)
    site.login.pop("PATH", None)
    for name in ("default", "two"):
        site.command("stop", "--session", name)
    for program, arguments in (("tmux", ["kill-server"]), ("screen", ["-S", "old", "-X", "quit"])):
        Desk(site, program).run(*arguments)


def _start(desk: Desk, session: str = "default") -> str:
    started = desk.site.command("start", "--session", session, "--wait", "60")
    assert started.returncode == 0, f"{started.stdout}{started.stderr}{desk.site.log(session)}"
    return desk.site.record(session).job_id


def _window_of(job_id: str) -> int:
    process = children.process(int(job_id.partition(".")[0]))
    assert process is not None
    return process.parent


def _environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text(errors="replace")


def test_sessions_are_in_windows_of_their_own_and_end_with_them(desk: Desk) -> None:
    first, second = _start(desk), _start(desk, "two")
    assert first != second
    assert sorted(desk.windows()) == sorted([desk.window("default"), desk.window("two")])
    wait_for(lambda: "is ready on" in desk.shown("default"))
    assert "Session default. Ctrl-C ends it; detach to leave it running." in desk.shown("default")
    assert "session default is ready on" in desk.site.log()
    assert _start(desk) == first
    window = _window_of(first)
    assert desk.site.command("stop").returncode == 0
    assert children.process(window) is None
    wait_for(lambda: desk.windows() == [desk.window("two")])
    desk.close("two")
    wait_for(lambda: desk.site.record("two").state == record.ENDED)
    assert (desk.site.record("two").how, desk.windows()) == ("stopped", [])


def test_a_window_brings_nothing_of_an_older_login_and_goes_even_where_windows_stay(desk: Desk) -> None:
    home = desk.site.home
    (home / ".tmux.conf").write_text("set -g remain-on-exit on\n")
    (home / ".screenrc").write_text("zombie qr\n")
    desk.run(*_old(desk, "sleep", "600"), PLANTED="by an older login", JUPYTER_PATH="/old")
    desk.site.login["FRESH"] = "1"
    pid = int(_start(desk).partition(".")[0])
    assert "PLANTED" not in _environment_of(pid)
    assert "FRESH=1" in _environment_of(pid)
    assert "TMUX" not in _environment_of(pid).replace("TMUX_TMPDIR", "")
    desk.site.command("stop")
    wait_for(lambda: desk.windows() == ["old"])


def _old(desk: Desk, *argv: str) -> tuple[str, ...]:
    return ("new-session", "-d", "-s", "old", *argv) if desk.program == "tmux" else ("-dmS", "old", *argv)


@pytest.mark.rows("F40")
def test_the_job_outlives_a_window_that_is_killed_and_its_log_goes_on(desk: Desk) -> None:
    """Killed for certain: closing it would end the session."""
    _kill(_window_of(_start(desk)))
    wait_for(lambda: desk.windows() == [])
    assert json.loads(desk.site.command("status", "--json").stdout)[0]["state"] == "ready"
    assert desk.site.command("stop").returncode == 0
    assert "session default ended (stopped): stopped on request" in desk.site.log()


def _kill(pid: int) -> None:
    subprocess.run(["kill", "-KILL", str(pid)], check=True)


def test_a_missing_program_is_said_before_anything_is_started(desk: Desk, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for program in ("env", "bash", "python3", "unshare"):
        (bare / program).symlink_to(f"/usr/bin/{program}")
    desk.site.login["PATH"] = str(bare)
    (desk.site.home / ".bash_profile").write_text(f"PATH={bare}\n")
    refused = desk.site.command("start")
    host = subprocess.run(["hostname"], check=True, capture_output=True, text=True).stdout.strip()
    assert (refused.returncode, refused.stderr) == (
        2,
        f"hpc-session: hpc_detach: there is no {desk.program} on {host}. Install it there, or set hpc_detach: setsid "
        "and run the playbook hpc.jupyter.setup\n",
    )
    assert not Path(desk.site.files().path).exists()


def test_the_clusters_fact_reaches_the_playbooks_and_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    home = Home(tmp_path / "home")
    home.path.mkdir()
    facts: dict[str, object] = {"jupyter_environment_kind": "existing", "hpc_detach": "tmux",
                                "jupyter_environment_path": str(jupyter_python().parent.parent)}  # fmt: skip
    prepared = home.play("setup.yml", **facts)
    assert prepared.code == 0, prepared.out
    assert json.loads((home.root / "account.json").read_text())["detach"] == "tmux"
    try:
        launched = home.play("launch.yml", **facts)
        assert launched.code == 0, launched.out
        assert _tmux(home, "list-sessions", "-F", "#{session_name}") == [job_name("default", Layout(str(home.root)))]
        again = home.play("launch.yml", **facts)
        assert (again.code, again.changed) == (0, 0), again.out
    finally:
        stopped = home.play("stop.yml", **facts)
        wait_for(lambda: _tmux(home, "list-sessions") == [])
    assert (stopped.code, stopped.changed) == (0, 1), stopped.out


def _tmux(home: Home, *arguments: str) -> list[str]:
    done = subprocess.run(["tmux", *arguments], env=home.environment(), check=False, capture_output=True, text=True)
    return done.stdout.split()
