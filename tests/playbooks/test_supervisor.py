"""The job and its supervisor with a real JupyterLab: what others find shut, and what is left when it is over."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import children, jupyter, leftovers, probe, record
from ansible_collections.hpc.jupyter.plugins.module_utils.schedulers import by_name

from tests.session_site import Site, processes_of, wait_for


@pytest.fixture(name="up", scope="module")
def _up(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[Site]:
    """One session that stays up while several tests look at it; its home tries to open it and to break it."""
    made = Site(tmp_path_factory.mktemp("up"), python)
    _plant_hostile_files(made.home)
    made.intend(idle_seconds=3600)
    with open(made.layout.environment_script, "a", encoding="utf-8") as script:
        script.write(f'export PATH={_plant_node(made.home)}:"$PATH"\n')
    made.job(JUPYTER_TOKEN="planted", JUPYTER_CONFIG_PATH=str(made.home / ".jupyter"), SLURM_EXPORT_ENV="NONE")
    made.ready()
    yield made
    made.close()


def _plant_hostile_files(home: Path) -> None:
    (home / ".jupyter").mkdir()
    opening = {"IdentityProvider": {"token": ""}, "ServerApp": {"ip": "*", "allow_origin": "*", "sock": ""}}
    (home / ".jupyter" / "jupyter_server_config.json").write_text(json.dumps(opening))
    (home / ".jupyter" / "jupyter_lab_config.py").write_text(f"open({str(home / 'was-read')!r}, 'w').close()\n")
    for module in ("json", "random", "jupyterlab"):
        (home / f"{module}.py").write_text("raise SystemExit('taken from the home directory')\n")


def _plant_node(home: Path) -> Path:
    """A node that tells what it was to run."""
    place = home / "programs"
    place.mkdir()
    (place / "node").write_text(f'#!/bin/sh\necho "$@" >> {home}/node-ran\n')
    (place / "node").chmod(0o700)
    return place


def _plant_kernel_with_a_daemon(home: Path) -> None:
    """A kernel that leaves a process behind which is in a session of its own and has no parent any more."""
    place = home / ".local/share/jupyter/kernels/daemon"
    place.mkdir(parents=True)
    script = '(setsid sleep 4711 &); exec "$HPC_JUPYTER_PYTHON" -m ipykernel_launcher -f "$0"'
    kernel = {"argv": ["sh", "-c", script, "{connection_file}"], "display_name": "daemon", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(kernel))


def _session_processes(site: Site, name: str = "default") -> list[int]:
    pid = site.record(name).pid
    return [pid, *children.descendants(pid)]


def _post(site: Site, path: str, body: str = "{}") -> int:
    target, token = site.target(), site.token()
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(target.socket)
    connection.request("POST", target.base_url + path, body=body, headers={"Authorization": f"token {token}"})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.rows("T1")
def test_the_owner_gets_in_and_nobody_else(up: Site) -> None:
    assert probe.get(up.target(), "api/status", token=up.token()).status == 200
    assert probe.get(up.target(), "lab", token=up.token()).status == 200
    assert probe.get(up.target(), "api/status").status == 403
    assert probe.get(up.target(), "api/status", token="planted").status == 403
    assert probe.get(up.target(), "api").status == 200  # only the version
    assert probe.get(up.target(), "lab").status == 302


@pytest.mark.rows("T25")
def test_the_person_s_own_jupyter_files_are_not_read(up: Site) -> None:
    assert not (up.home / "was-read").exists()


@pytest.mark.rows("T1", "T8")
def test_socket_and_directories_are_private_and_short(up: Site) -> None:
    place = Path(up.record().socket).parent
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (place, place / "r", place / "s")}
    assert modes == {place.name: 0o700, "r": 0o700, "s": 0o600}
    assert len(str(place / "r")) <= 57
    assert not str(place).startswith(str(up.home))


@pytest.mark.rows("F19")
def test_jupyter_s_own_list_of_servers_neither_has_ours_nor_loses_others_through_us(up: Site, python: Path) -> None:
    """That list removes the file of every server whose process it does not see, as of one on another node."""
    theirs = up.home / ".local/share/jupyter/runtime/jpserver-4194303.json"
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text(json.dumps({"pid": 4194303, "url": "http://c9/", "port": 8888}))
    assert _found(up) == ()
    ours = list(Path(up.record().socket).with_name("r").glob("jpserver-*.json"))
    assert len(ours) == 1
    up.command("status")
    up.command("url")
    assert theirs.exists()
    home = {**up.environment({}), "HOME": str(up.home)}
    subprocess.run([python, "-m", "jupyter_server", "list"], env=home, timeout=60, check=False, cwd=up.home.parent)
    assert ours[0].exists()
    assert probe.get(up.target(), "api/status", token=up.token()).status == 200


def test_every_setting_is_one_that_jupyter_knows(up: Site) -> None:
    log = up.log().lower()
    assert "serving notebooks from local directory" in log
    assert "recogni" not in log
    assert "deprecat" not in log


@pytest.mark.rows("T7")
def test_the_token_is_on_no_command_line_and_in_no_log(up: Site) -> None:
    assert processes_of(up.token()) == []
    assert up.token() not in up.log()
    assert "token=..." in up.log()


@pytest.mark.rows("T1", "T2")
def test_nothing_listens_on_the_network(up: Site) -> None:
    assert _post(up, "api/kernels") == 201
    jupyter, *_others = children.descendants(up.record().pid)
    runtime = Path(up.record().socket).with_name("r")
    wait_for(lambda: len([path for path in runtime.glob("kernel-*-ipc-*") if path.is_socket()]) >= 4)
    assert _listening_addresses([jupyter]) == set()
    # The kernel's own pipe for its output, which asks for a random word, is the one exception.
    assert {address for address, _port in _listening_addresses(_session_processes(up))} <= {"0100007F"}
    assert len(_listening_addresses(_session_processes(up))) <= 1


def _command(pid: int) -> str:
    process = children.process(pid)
    return process.command if process else ""


def _listening_addresses(pids: list[int]) -> set[tuple[str, str]]:
    inodes = {inode for pid in pids for inode in probe._socket_inodes(pid)}
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            row = line.split()
            if row[3] == "0A" and row[9] in inodes:
                found.add((row[1].split(":")[0], row[1].split(":")[1]))
    return found


@pytest.mark.rows("T25")
def test_jupyter_s_environment_is_ours_and_its_lab_settings_are_theirs(up: Site) -> None:
    jupyter = children.descendants(up.record().pid)[0]
    raw = Path(f"/proc/{jupyter}/environ").read_text().rstrip("\0").split("\0")
    environment = dict(entry.split("=", 1) for entry in raw)
    assert environment["JUPYTER_CONFIG_DIR"] == up.layout.server
    assert environment["JUPYTER_TOKEN_FILE"] == up.files().token
    assert environment["JUPYTERLAB_SETTINGS_DIR"] == str(up.home / ".jupyter/lab/user-settings")
    assert environment["JUPYTER_CONFIG_PATH"].startswith("/tmp/hpcj-")
    assert not {"JUPYTER_TOKEN", "XDG_RUNTIME_DIR", "SLURM_EXPORT_ENV"} & set(environment)


def test_the_record_says_where_it_is(up: Site) -> None:
    now = up.record()
    assert now.node == socket.gethostname().split(".")[0]
    assert now.job_id == f"{now.pid}.default@{socket.gethostname()}"
    assert now.jupyter_version.startswith("2.")
    assert now.started_at
    assert all(key.split()[0].startswith(("ssh-", "ecdsa-")) for key in now.host_keys)


def test_term_ends_everything_that_the_session_started(site: Site) -> None:
    _plant_kernel_with_a_daemon(site.home)
    site.intend()
    job = site.job()
    place = Path(site.ready().socket).parent
    assert _post(site, "api/kernels", '{"name": "daemon"}') == 201
    wait_for(lambda: [pid for pid in _session_processes(site) if "ipykernel" in _command(pid)])
    wait_for(lambda: [pid for pid in _session_processes(site) if _command(pid) == "sleep 4711"])
    everything = _session_processes(site)
    job.terminate()
    assert site.ended(job) == 0
    assert [pid for pid in everything if children.process(pid)] == []
    assert not place.exists()
    now = site.record()
    assert (now.state, now.how, now.reason, now.socket) == (record.ENDED, "stopped", "stopped on request", "")


def test_the_signal_of_grid_engine_to_all_processes_ends_the_session_in_order(site: Site) -> None:
    site.intend()
    job = site.job()
    place = Path(site.ready().socket).parent
    os.killpg(job.pid, signal.SIGUSR2)
    assert site.ended(job) == 0
    assert not place.exists()
    assert (site.record().how, site.record().reason) == ("stopped", "stopped on request")


def test_a_shutdown_from_the_menu_is_a_finished_session(site: Site) -> None:
    site.intend()
    job = site.job()
    site.ready()
    assert _post(site, "api/shutdown") == 200
    assert site.ended(job) == 0
    assert (site.record().how, site.record().reason) == ("finished", "shut down from Jupyter's menu")


@pytest.mark.rows("F12")
def test_a_jupyter_that_dies_is_a_failed_session(site: Site) -> None:
    site.intend()
    job = site.job()
    site.ready()
    os.kill(children.descendants(site.record().pid)[0], signal.SIGKILL)
    assert site.ended(job) == 1
    assert site.record().how == "failed"
    assert site.record().reason.startswith("Jupyter ended with signal SIGKILL (out of memory?): ")


def test_the_local_machine_gets_a_loopback_port_even_as_root(site: Site) -> None:
    site.intend(offer="loopback")
    job = site.job(prefix=[])
    now = site.ready()
    assert (now.socket, now.port > 1023) == ("", True)
    assert probe.get(site.target(), "api/status", token=site.token()).status == 200
    assert probe.get(site.target(), "api/status").status == 403
    assert _listening_addresses(_session_processes(site)) == {("0100007F", f"{now.port:04X}")}
    warning = "hpc-jupyter: warning: Jupyter runs as root on this machine, so does every notebook"
    assert site.log().count(warning) == (1 if os.geteuid() == 0 else 0)
    job.terminate()
    assert site.ended(job) == 0


def test_a_job_of_an_older_generation_steps_back(site: Site) -> None:
    site.intend(generation=2)
    before = site.record()
    assert site.ended(site.job(generation=1)) == 0
    assert site.record() == before
    assert site.log() == "hpc-jupyter: the session is at generation 2: this job, for 1, steps back\n"


def test_a_second_job_for_the_same_session_steps_back(site: Site) -> None:
    site.intend()
    site.job()
    first = site.ready()
    second = site.job()
    assert site.ended(second) == 0
    assert site.record() == first
    assert f"job {first.job_id} already runs this session: job {second.pid}.default@" in site.log()


def _found(site: Site) -> tuple[leftovers.Leftover, ...]:
    scheduler = by_name("none", root=site.layout.root)
    views = {"default": leftovers.see(site.layout, "default", scheduler, account="me@here", cluster="here")}
    return leftovers.find(site.layout, scheduler, views).leftovers


def test_what_a_killed_supervisor_leaves_is_cleaned_up_by_the_next(site: Site) -> None:
    site.intend()
    job = site.job()
    place = Path(site.ready().socket).parent
    jupyter = children.descendants(site.record().pid)[0]
    job.kill()
    job.wait()
    wait_for(lambda: children.process(jupyter) is None)
    assert place.exists()
    assert [each.where for each in _found(site) if each.kind == "node"] == [str(place)]
    site.intend(generation=2)
    site.job(generation=2)
    site.ready()
    assert not place.exists()


@pytest.fixture(name="slurm")
def _slurm(tmp_path: Path, python: Path) -> Iterator[Site]:
    made = Site(tmp_path, python, scheduler="slurm")
    yield made
    made.close()


def test_the_scheduler_s_words_go_into_the_record(slurm: Site) -> None:
    ends = int(time.time()) + 50
    slurm.intend()
    job = slurm.job(SLURM_JOB_ID="4711", SLURMD_NODENAME="c1", SLURM_JOB_END_TIME=str(ends))
    now = slurm.ready()
    assert (now.job_id, now.node, now.ends_at) == ("4711", "c1", record.timestamp(ends))
    job.terminate()
    assert slurm.ended(job) == 0
    assert (slurm.record().how, slurm.record().reason) == ("time limit", "the job's time is over")


def test_a_requeued_job_takes_its_session_up_again(slurm: Site) -> None:
    slurm.intend()
    slurm.job(SLURM_JOB_ID="4711", SLURMD_NODENAME="c1").terminate()
    wait_for(lambda: slurm.running[0].poll() is not None)
    slurm.job(SLURM_JOB_ID="4711", SLURMD_NODENAME="c2", SLURM_RESTART_COUNT="1")
    assert slurm.ready().node == "c2"


@pytest.mark.parametrize(("script", "words"), [
    (None, "environment.sh is missing: set the account up again (playbook hpc.jupyter.setup)\n"),
    ("", "environment.sh does not set HPC_JUPYTER_PYTHON: set the account up again (playbook hpc.jupyter.setup)\n"),
    ("HPC_JUPYTER_PYTHON=/gone", "there is no Python to run at /gone on "),
])
def test_a_job_without_an_environment_says_so_in_its_log(site: Site, script: str | None, words: str) -> None:
    site.intend()
    os.unlink(site.layout.environment_script)
    if script is not None:
        Path(site.layout.environment_script).write_text(script)
    assert site.ended(site.job()) == 1
    assert words in site.log()


def test_the_account_s_own_command_starts_shows_and_stops_a_session(site: Site) -> None:
    started = site.command("start", "--time", "0:30:00")
    assert started.returncode == 0, started.stdout + started.stderr + site.log()
    assert "me@here default: Ready on " in started.stdout
    again = site.command("start")
    assert again.stdout.startswith("found: me@here default: Ready on ")
    shown = json.loads(site.command("status", "--json").stdout)
    assert [(item["session"], item["state"]) for item in shown] == [("default", "ready")]
    url = f"http://127.0.0.1:9999{site.record().base_url}lab?token={site.token()}\n"
    assert site.command("url", "--port", "9999").stdout == url
    everything = _session_processes(site)
    assert site.command("stop").stdout == f"session default is stopped (job {shown[0]['job_id']})\n"
    assert [pid for pid in everything if children.process(pid)] == []
    assert site.command("stop").stdout == "session default does not run: nothing to stop\n"
    gone = site.command("url")
    assert (gone.returncode, gone.stdout) == (4, "")


def test_attach_gives_record_and_token_on_a_line_of_its_own(up: Site) -> None:
    answer = up.command("attach", "--session", "default", "--nonce", "abcdef0123456789")
    line = next(line for line in answer.stdout.splitlines() if line.startswith("abcdef0123456789 "))
    told = json.loads(line.split(" ", 1)[1])
    assert told["token"] == up.token()
    assert record.parse(json.dumps(told["record"]).encode(), path="") == up.record()
    followed = up.command("attach", "--session", "default", "--nonce", "abcdef0123456789", "--follow", "60")
    assert json.loads(followed.stdout.split(" ", 1)[1]) == {**told, "code": 0, "pinned": None}
    missing = up.command("attach", "--session", "other", "--nonce", "abcdef0123456789")
    assert missing.stdout == (
        '\nabcdef0123456789 {"error": "there is no session other of me@here", "version": "0.1.0"}\n'
    )
    assert missing.returncode == 4


def test_jupyterlab_does_not_run_yarn_to_start_and_kernels_have_path_as_it_was(up: Site, python: Path) -> None:
    ran = up.home / "node-ran"
    assert not ran.exists() or "yarn" not in ran.read_text()
    assert _post(up, "api/kernels") == 201
    wait_for(lambda: _kernels(up))
    [path] = re.findall(r"(?:^|\0)PATH=([^\0]*)", _proc(_kernels(up)[0], "environ"))
    assert f"{up.home}/programs" in path.split(":")
    argv = [str(python), "-m", "jupyterlab", "--version"]
    plain = {"HOME": str(up.home), "PATH": f"{up.home}/programs:/usr/bin:/bin"}
    subprocess.run(argv, env=plain, cwd=up.layout.root, timeout=60, check=True, stdout=subprocess.DEVNULL)
    assert "yarn" in ran.read_text(), "JupyterLab does that no more, so that there is nothing to keep it from"


def test_what_jupyterlab_leaves_is_collected_once_it_is_loaded(python: Path, tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text("import gc; print(gc.isenabled(), gc.get_freeze_count() > 0)\n")
    argv = [str(python), "-c", jupyter._QUICKLY, "told"]
    done = subprocess.run(argv, cwd=tmp_path, timeout=60, check=True, capture_output=True, text=True)
    assert done.stdout == "True True\n"


def _kernels(site: Site) -> list[int]:
    return [each for each in _session_processes(site) if "ipykernel_launcher" in _proc(each, "cmdline")]


def _proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
