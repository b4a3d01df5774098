"""The threats T1-T28 of docs/reliability.md, tried by a second Unix user while one session of alice's runs.

Alice is careless: her homes are open to others, her directories were made with mode 0755, and a configuration that she
found somewhere opens Jupyter to everybody. Every secret is a canary; every row shows that a door is shut.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from hpclab import Lab
from hpclab.host import RunningHost
from hpclab.process import until
from tests import careless, mallory, pages
from tests.careless import ALICE, HOSTS, OTHER, PASSWORD, PORT, TRAPS, Scene, session_secrets
from tests.laptop import EXISTING, JUPYTER, PREFIX, TOOLS, WHEELS, failed

pytestmark = pytest.mark.timeout(600)  # the first test sets the account up and launches its session
_TAMPER = """
import os, shutil, sys
source, target = sys.argv[1:]
os.mkdir(target)
for name in os.listdir(source):
    os.symlink(os.path.join(source, name), os.path.join(target, name))
[wheel] = [name for name in os.listdir(source) if name.startswith("jupyterlab-") and name.endswith(".whl")]
os.unlink(os.path.join(target, wheel))
shutil.copyfile(os.path.join(source, wheel), os.path.join(target, wheel))
with open(os.path.join(target, wheel), "r+b") as stream:
    stream.seek(4096)
    byte = stream.read(1)
    stream.seek(4096)
    stream.write(bytes([byte[0] ^ 1]))
"""
_SERVER = """
import socket, sys
door, word = sys.argv[1], sys.argv[2][::-1]
listener = socket.socket(socket.AF_UNIX) if door else socket.create_server(("127.0.0.1", 0))
if door:
    listener.bind(door)
    listener.listen()
print("up", flush=True)
caller = listener.accept()[0]
caller.recv(4096)
caller.send(word.encode())
"""


@pytest.fixture
def planted(lab: Lab) -> Iterator[Lab]:
    """A host on which somebody is careless in every way that a scan knows."""
    there = lab.host("login1")
    there.run(["sh", "-c", "chmod 755 ~; umask 022; echo file-canary-1 >~/file"], user="alice")
    there.run(["sbatch", "--comment=job-canary-1", "--wrap=sleep 1000"], user="alice")
    commands = [
        ["python3", "-c", "print('up', flush=True); input()", "argv-canary-1"],
        ["python3", "-c", _SERVER, "", "port-canary-1"[::-1]],
        ["python3", "-c", f"import os; os.umask(0)\n{_SERVER}", "/tmp/door", "unix-canary-1"[::-1]],
    ]
    running = [there.popen(argv, user="alice", stdin=subprocess.PIPE, stdout=subprocess.PIPE) for argv in commands]
    try:
        for process in running:
            assert process.stdout
            assert process.stdout.readline() == "up\n"
        yield lab
    finally:
        for process in running:
            process.kill()
            process.communicate(timeout=10)


def test_a_scan_finds_what_is_there_to_be_found(planted: Lab) -> None:
    """No clean scan means anything unless a careless host is not clean."""
    names = ("file", "argv", "port", "unix", "job")
    seen = mallory.look(planted, "login1", {name: f"{name}-canary-1" for name in names})
    assert {finding.canary for finding in seen.findings} == set(names), seen
    assert {(door.kind, door.uid) for door in seen.doors} == {("tcp", 2001), ("unix", 2001)}
    assert seen.unanswered == ()
    assert {"cmdline", "files", "answers", "commands"} <= set(seen.looked)


@pytest.fixture(scope="module")
def scene(running_lab: Lab) -> Iterator[Scene]:
    with careless.at_work(running_lab) as made:
        yield made


@pytest.mark.rows("T1", "T7", "T8", "T11", "T19", "T25")
@pytest.mark.parametrize("host", HOSTS)
def test_mallory_finds_no_secret_and_no_door(scene: Scene, host: str) -> None:
    seen = scene.see(host)
    assert seen.findings == ()
    doors = [(door.kind, door.address) for door in seen.doors if door.uid == ALICE]
    forward = [("tcp", f"127.0.0.1:{PORT}")] if host == "client" else []
    assert doors == forward


@pytest.mark.rows("T1", "T2", "T3")
def test_what_a_cell_prints_is_read_by_nobody_else(scene: Scene) -> None:
    """The one door is the kernel's own pipe, into which only who knows its word can write, and out of which nobody."""
    printing = "import time\nfor _ in range(20):\n    print('printed-' + 'canary-1', flush=True); time.sleep(0.1)"
    argv = [f"{JUPYTER}/bin/python", "/srv/cell.py", "--keep", str(scene.told["url"]), printing]
    seen = []
    with scene.lab.host("client").popen(argv, user="alice", stdout=subprocess.PIPE) as cell:
        while cell.poll() is None:
            seen.append(mallory.look(scene.lab, scene.node, {"printed": "printed-canary-1"}))
        assert cell.communicate(timeout=10)[0] == "printed-canary-1\n" * 20
    assert len(seen) > 1
    assert {finding for sight in seen for finding in sight.findings} == set()
    doors = {door for sight in seen for door in sight.doors if door.uid == ALICE}
    assert {(door.kind, door.address.partition(":")[0]) for door in doors} == {("tcp", "127.0.0.1")}
    assert len(doors) == 1


@pytest.mark.rows("T3")
def test_the_debugger_is_refused_and_opens_no_door(scene: Scene) -> None:
    before = set(scene.see(scene.node).doors)
    told = scene.script(pages.DEBUG, str(scene.told["url"]))
    assert told["debugger"] is False
    assert not told["reply"].get("success"), told
    # Another kernel, so another pipe; it has ended again.
    assert set(scene.see(scene.node).doors) == before


@pytest.mark.rows("T6")
def test_whoever_took_the_port_on_the_other_loopback_hears_nothing(scene: Scene) -> None:
    client = scene.lab.host("client")
    listening = {each.address for each in client.listeners() if each.port == PORT}
    assert listening == {"127.0.0.1", "::1"}
    assert "localhost" not in scene.told["url"]
    assert [argv for _pid, argv in client.processes(user="alice") if "localhost" in " ".join(argv)] == []
    heard = client.run(["cat", "/tmp/heard"], user="mallory").stdout
    assert scene.base.rpartition("/")[2] not in heard


@pytest.mark.rows("T7")
def test_the_scheduler_tells_nothing(scene: Scene) -> None:
    shown = scene.lab.host("login1").run(["scontrol", "show", "job", str(scene.told["job_id"])], user="mallory").stdout
    assert "UserId=alice" in shown
    argv = ["scontrol", "write", "batch_script", str(scene.told["job_id"]), "-"]
    refused = scene.lab.host("login1").run(argv, user="mallory", check=False)
    assert (refused.stdout, refused.stderr) == ("", "job script retrieval failed: Invalid user id\n")
    own = scene.lab.host("login1").run(argv, user="alice").stdout
    assert own.startswith("#!/bin/bash -l\n")
    assert not [secret for secret in scene.secrets.values() if isinstance(secret, str) and secret in own + shown]


@pytest.mark.rows("T8", "T28")
def test_all_that_is_ours_is_alices_alone(scene: Scene) -> None:
    """Also what was there before with other modes; mallory's look-alikes are as she left them."""
    for host, place in (
        ("login1", "/home/alice/.local/share/hpc-jupyter/lab"),
        ("client", f"/home/alice/.local/state/hpc-jupyter/{scene.person.account}"),
        (scene.node, str(PurePosixPath(scene.person.record()["socket"]).parent)),
    ):
        there = scene.lab.host(host)
        assert there.run(["stat", "-c", "%U %a", place]).stdout == "alice 700\n"
        others = ["find", place, "!", "-type", "l", "(", "-perm", "/022", "-o", "!", "-user", "alice", ")"]
        assert there.run(others).stdout == ""
    for host in HOSTS:
        left = scene.lab.host(host).run(["stat", "-c", "%U %a %F", *(f"/tmp/{trap}" for trap in TRAPS)]).stdout
        assert left == "mallory 777 directory\n" * len(TRAPS)


@pytest.mark.rows("T28")
def test_a_directory_of_somebody_elses_is_refused(scene: Scene) -> None:
    scene.lab.host("login1").run(["mkdir", "-m", "777", "/home/mallory/open"], user="mallory")
    scene.lab.host("login1").run(["chmod", "755", "/home/mallory"], user="mallory")
    done = scene.person.play("setup", "-e", "hpc_root=/home/mallory/open", *EXISTING, check=False)
    assert "/home/mallory/open belongs to another user" in failed(done)
    assert scene.lab.host("login1").run(["ls", "-A", "/home/mallory/open"]).stdout == ""


@pytest.mark.rows("T10")
def test_guesses_get_nowhere(scene: Scene) -> None:
    """Only on the laptop is there anything to guess at; the secrets are long."""
    for guess in ("wonderland", "", "token"):
        assert scene.curl("/api/status", "-H", f"Authorization: token {guess}") == "403"
    assert scene.curl("/lab") == "302"
    assert len(scene.secrets["token"]) >= 43
    assert scene.script(pages.LOG_IN, scene.base, "a wrong password") == [401] * 20


@pytest.mark.rows("T12")
def test_a_cookie_is_for_this_sessions_path_alone(scene: Scene) -> None:
    status, cookies = scene.script(pages.COOKIES, scene.base, PASSWORD)
    assert status == 200
    path = f"/{scene.base.rpartition('/')[2]}/"
    assert {cookie["path"] for cookie in cookies} == {path}
    assert [cookie["http_only"] for cookie in cookies if cookie["name"] != "_xsrf"] == [True]
    assert re.fullmatch(r"/[0-9a-f]{16,}/", path)


_UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")  # fmt: skip
_EVIL_HOST = "Host: evil.example"
_EVENTS = "/api/events/subscribe"


@pytest.mark.rows("T13")
@pytest.mark.parametrize(
    ("path", "headers", "stranger", "with_token"),
    [
        ("/api/status", (), "403", "200"),
        ("/lab", (), "302", "200"),
        ("/api/status", (_EVIL_HOST,), "403", "403"),
        ("/lab", (_EVIL_HOST,), "403", "403"),
        (_EVENTS, (*_UPGRADE, _EVIL_HOST), "403", "403"),
        ("/metrics", (), "403", "200"),
    ],
)
def test_web_pages_and_strangers_are_turned_away(
    scene: Scene, path: str, headers: tuple[str, ...], stranger: str, with_token: str
) -> None:
    """Another host's name, as after DNS rebinding, is refused even to who has the token."""
    options = [word for header in headers for word in ("-H", header)]
    assert scene.curl(path, *options) == stranger
    assert scene.curl(path, *options, "-H", scene.authorization, user="alice") == with_token


@pytest.mark.rows("T13")
def test_a_page_of_another_origin_is_turned_away_even_with_alices_cookie(scene: Scene) -> None:
    told = scene.script(pages.CROSS_ORIGIN, scene.base, PASSWORD)
    assert told == {"ours": 101, "evil socket": 403, "evil page": 404, "no xsrf": 403}


@pytest.mark.rows("T15")
def test_the_agent_stays_at_home(scene: Scene) -> None:
    assert scene.lab.host("client").exists("/home/alice/agent")
    for host in ("gate", "login1", "login2", scene.node):
        there = scene.lab.host(host)
        assert there.run(["find", "/tmp", "-name", "agent.*"]).stdout == ""
        environs = [there.run(["cat", f"/proc/{pid}/environ"], check=False).stdout for pid, _argv in
                    there.processes(user="alice")]  # fmt: skip
        assert [text for text in environs if "SSH_AUTH_SOCK=" in text] == []


@pytest.mark.rows("T4", "T12", "T16", "T17")
def test_a_directory_with_a_hostile_name_is_only_a_name(scene: Scene) -> None:
    """A second session, in the same jar."""
    name = "a {{ lookup('pipe', 'touch pwned') }} $(touch pwned) `touch pwned` '; touch pwned #"
    scene.person.login.run(["mkdir", f"/home/alice/{name}"], user="alice")
    try:
        asked = ("--session", "two", "--directory", f"~/{name}", "--detach", "--no-browser", "--json")
        told = json.loads(scene.person.cli("launch", "alice@lab", *asked, timeout=200).stdout)
        argv = [f"{JUPYTER}/bin/python", "/srv/cell.py", told["url"], "import os; print(os.getcwd())"]
        assert scene.lab.host("client").run(argv, user="alice", timeout=90).stdout == f"/home/alice/{name}\n"
        look = ["find", "/home", "/tmp", "-name", "pwned"]
        assert [scene.lab.host(host).run(look).stdout for host in HOSTS] == [""] * len(HOSTS)
        again = session_secrets(scene.person, "two")
        assert not {str(each) for each in again.values()} & {str(each) for each in scene.secrets.values()}
        assert min(len(each) for each in again.values()) >= 32
        other = told["url"].rpartition("/lab")[0]
        assert scene.script(pages.TWO_IN_A_JAR, scene.base, other, PASSWORD) == [200, 200, 200, 200]
    finally:
        scene.person.cli("stop", "alice@lab", "--session", "two", check=False)


@pytest.mark.rows("T18")
@pytest.mark.parametrize("fact", ["hpc_login_hosts", "hpc_gateways"])
@pytest.mark.parametrize("host", ["-oProxyCommand=touch /tmp/pwned", "x;touch /tmp/pwned", "$(touch /tmp/pwned)"])
def test_a_hostile_host_name_is_refused_before_any_ssh(scene: Scene, fact: str, host: str) -> None:
    facts = {"hpc_login_hosts": ["login"], "hpc_scheduler": "slurm", fact: [host]}
    client = scene.lab.host("client")
    client.write("/home/alice/hostile.json", json.dumps({"bad": {"hosts": {"alice@bad": {}}, "vars": facts}}))
    done = scene.person.run("hpc-jupyter", "-i", "hostile.json", "launch", "alice@bad", check=False)
    assert done.returncode == 2
    assert fact in failed(done)
    assert not client.exists("/tmp/pwned")


@pytest.mark.rows("T19", "T20")
def test_a_controller_that_is_killed_leaves_no_secret_behind(scene: Scene) -> None:
    client, login = scene.lab.host("client"), scene.person.login
    client.write("/home/alice/other.yml", json.dumps({"jupyter_server_password": OTHER}), owner="alice", mode=0o600)
    play = [f"{PREFIX}/bin/ansible-playbook", "-i", "inventory", "hpc.jupyter.setup", "-vvv", *EXISTING]
    with client.popen([*play, "-e", "@other.yml"], user="alice", stdout=subprocess.DEVNULL) as controller:
        until(lambda: _ansible_at_work(login), what="a task on the login host", seconds=60)
        client.run(["pkill", "-KILL", "-u", "alice", "ansible-playboo"])
        controller.wait(timeout=20)
    client.run(["rm", "/home/alice/other.yml"])
    canaries = {"new password": OTHER}
    for host in HOSTS:
        assert mallory.scan(scene.lab, host, canaries) == ()
        assert mallory.scan(scene.lab, host, canaries, user="alice") == ()


def _ansible_at_work(login: RunningHost) -> bool:
    return any("python" in " ".join(argv[:2]) and "sshd" not in argv[0] for _pid, argv in login.processes(user="alice"))


@pytest.mark.rows("T21")
def test_mallory_gets_into_no_job_and_onto_no_login_of_alices(scene: Scene) -> None:
    login, job = scene.lab.host("login1"), str(scene.told["job_id"])
    for argv in (["srun", f"--jobid={job}", "--overlap", "hostname"], ["scancel", job]):
        done = login.run(argv, user="mallory", check=False, timeout=30)
        assert done.returncode != 0
        assert "ccess/permission denied" in done.stderr
    assert [row[2] for row in scene.person.squeue() if row[0] == job] == ["RUNNING"]
    reach = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", f"alice@{scene.node}", "hostname"]
    assert login.run(reach, user="mallory", check=False).returncode == 255


@pytest.mark.rows("T24")
def test_a_wheel_with_one_other_byte_is_not_installed(scene: Scene) -> None:
    login = scene.person.login
    login.run(["python3", "-c", _TAMPER, WHEELS, "/home/alice/wheels"], user="alice")
    login.run(["ln", "-s", f"{TOOLS}/uv", "/home/alice/.local/bin/uv"], user="alice")
    environment = "/home/alice/.local/share/hpc-jupyter/lab/environment.sh"
    before = login.read(environment)
    kind = ("-e", "jupyter_environment_kind=venv", "-e", "jupyter_environment_path=/home/alice/made")
    done = scene.person.play("setup", *kind, "-e", "jupyter_environment_wheelhouse=/home/alice/wheels", check=False)
    assert "the packages could not be installed in /home/alice/made: " in failed(done)
    assert re.search("[Hh]ash(es)? (mismatch|do not match)|DO NOT MATCH THE HASHES", failed(done))
    assert not login.exists("/home/alice/made/bin/jupyter-lab")
    assert login.read(environment) == before


@pytest.mark.rows("T25")
def test_alices_hostile_configuration_was_not_read(scene: Scene) -> None:
    assert not scene.lab.host(scene.node).exists("/home/alice/was-read")


@pytest.mark.rows("T26")
def test_root_is_refused_on_the_cluster(scene: Scene) -> None:
    command = "/home/alice/.local/share/hpc-jupyter/lab/hpc-session"
    done = scene.person.login.run([command, "start"], check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("/sessions/default belongs to another user\n")
    assert scene.person.login.run(["squeue", "--noheader", "--user", "root"]).stdout == ""


@pytest.mark.rows("T27")
def test_no_extension_is_installed_from_a_page(scene: Scene) -> None:
    asked = ("-X", "POST", "-d", json.dumps({"cmd": "install", "extension_name": "jupyterlab-something"}))
    assert scene.curl("/lab/api/extensions", *asked, "-H", scene.authorization, user="alice") == "422"
    page = scene.script(pages.PAGE, str(scene.told["url"]))
    assert (page["extensionManager"]["name"], page["extensionManager"]["can_install"]) == ("read-only", False)


@pytest.mark.rows("T4")
def test_a_full_disk_is_said_and_nothing_is_started(scene: Scene) -> None:
    login = scene.person.login
    place = "/home/alice/.local/share/hpc-jupyter/lab/sessions/full"
    login.run(["mkdir", "-p", place], user="alice")
    login.run(["mount", "-t", "tmpfs", "-o", "size=16k,uid=2001,mode=0700", "tmpfs", place])
    try:
        login.run(["sh", "-c", f"cat /dev/zero >{place}/filler"], user="alice", check=False)
        before = scene.person.squeue()
        done = scene.person.cli("launch", "alice@lab", "--session", "full", "--detach", check=False)
        assert failed(done).endswith(
            "on login1: No space left on device. Nothing was submitted; make room in the home directory and try again\n"
        )
        assert scene.person.squeue() == before
    finally:
        login.run(["umount", place])
