"""The kit: its files, its Windows command lines word by word, and connect.sh against a real sshd."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import authority
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster, Gateway, Pin

from hpc_jupyter import kit
from hpc_jupyter.certificate import colons
from hpc_jupyter.commands import kit as command
from hpc_jupyter.forward import ask
from tests.cli.conftest import BASE_URL, TOKEN, World, free_port

PIN = Pin("SHA256:" + "A" * 43, "ED25519")
CLUSTER = Cluster(
    name="lab", account="alice@lab", user="alice", login_hosts=("login.example.org",), scheduler="slurm",
    gateways=(Gateway("gate.example.org", "bob", 2201), Gateway("inner", "alice")), route="auto",
    host_keys=(("gate.example.org", (PIN,)), ("login.example.org", (PIN,))), root="~/.local/share/hpc-jupyter/lab",
)
PROGRAM = ".local/share/hpc-jupyter/lab/hpc-session"


def words_of(line: str) -> list[str]:
    """What a Windows program makes of its command line: the rules of CommandLineToArgvW, written down again."""
    found, word, quoted, begun, position = [], "", False, False, 0
    while position < len(line):
        char = line[position]
        slashes = len(line[position:]) - len(line[position:].lstrip("\\"))
        after = line[position + slashes : position + slashes + 1]
        if slashes and after == '"':
            word, begun = word + "\\" * (slashes // 2) + ('"' if slashes % 2 else ""), True
            position += slashes + slashes % 2
        elif slashes:
            word, begun, position = word + "\\" * slashes, True, position + slashes
        elif char == '"':
            quoted, begun, position = not quoted, True, position + 1
        elif char in " \t" and not quoted:
            found += [word] if begun else []
            word, begun, position = "", False, position + 1
        else:
            word, begun, position = word + char, True, position + 1
    return found + ([word] if begun else [])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('a "b c" d', ["a", "b c", "d"]), (r'"a\"b" \\', ['a"b', "\\\\"]), (r'a\\\"b "" c', [r'a\"b', "", "c"]),
        (r'"C:\x y\\" z', ["C:\\x y\\", "z"]),
    ],
)  # fmt: skip
def test_the_rules_are_the_documented_ones(line: str, words: list[str]) -> None:
    assert words_of(line) == words


def test_a_session_is_started_with_what_the_inventory_says() -> None:
    variables = {
        "jupyter_session_partition": "gpu", "jupyter_session_gpus": "1", "jupyter_session_memory": "8G",
        "jupyter_session_directory": "~/mlpractical", "jupyter_session_nice": 19, "jupyter_session_exclusive": True,
        "jupyter_session_extra": ["--licenses=a:1"], "jupyter_session_wait_seconds": 5, "jupyter_session_time": "",
    }  # fmt: skip
    options = kit.start_options(variables)
    assert options == [
        "--memory", "8G", "--gpus", "1", "--partition", "gpu", "--exclusive", "--extra=--licenses=a:1",
        "--directory", "~/mlpractical", "--nice", "19",
    ]  # fmt: skip
    texts = kit.render(CLUSTER, options)
    assert f"{PROGRAM} start {' '.join(options)} $* >&2" in texts["connect.sh"]
    assert f"{PROGRAM} start {' '.join(options)} @WORDS@ >&2" in _lines(texts)["Start"][-1]


def test_what_a_shell_would_take_for_its_own_is_in_no_kit() -> None:
    with pytest.raises(BadInput) as raised:
        kit.start_options({"jupyter_session_directory": "~/it's mine"})
    assert str(raised.value) == (
        "jupyter_session_directory: \"~/it's mine\" has characters that a kit cannot pass on. "
        "Allowed are letters, digits and ._:=,/+@~- there"
    )


def _lines(texts: dict[str, str]) -> dict[str, list[str]]:
    """The command lines in connect.ps1 as ssh.exe gets them."""
    found = re.findall(r"^\$Line(\w+) = '(.*)'\r$", texts["connect.ps1"], re.MULTILINE)
    return {name: words_of(line.replace("''", "'")) for name, line in found}


def test_what_ssh_is_given_on_windows() -> None:
    base = ["-T", "-F", "ssh_config_windows"]
    forward = [*base, "-N", "-o", "ExitOnForwardFailure=yes", "-L", "127.0.0.1:@PORT@:@TARGET@"]
    assert _lines(kit.render(CLUSTER)) == {
        "Start": [*base, "lab", f"exec /bin/sh -c 'cd && {PROGRAM} start @WORDS@ >&2 && echo hpc-jupyter-record && "
                  f"{PROGRAM} status --session default --json && echo hpc-jupyter-url && "
                  f"{PROGRAM} url --session default --port @PORT@ && echo hpc-jupyter-end'"],
        "Other": [*base, "lab", f"exec /bin/sh -c 'cd && exec {PROGRAM} @WORDS@'"],
        "Login": [*forward, "lab"],
        "Node": [*forward, "-o", "ProxyCommand=ssh.exe -F ssh_config_windows -W [%h]:%p lab",
                 "-o", "UserKnownHostsFile=known_hosts_node", "-o", "StrictHostKeyChecking=yes",
                 "-l", "alice", "@NODE@"],
    }  # fmt: skip


def test_a_kit_of_another_session_means_that_one_everywhere(tmp_path: Path) -> None:
    texts = kit.render(CLUSTER, session="gpu")
    lines = _lines(texts)
    started = lines["Start"][-1]
    assert f"{PROGRAM} start --session gpu @WORDS@ >&2" in started
    assert f"{PROGRAM} status --session gpu --json" in started
    assert f"{PROGRAM} url --session gpu --port @PORT@" in started
    assert lines["Other"][-1] == f"exec /bin/sh -c 'cd && exec {PROGRAM} @WORDS@ --session gpu'"
    assert f"{PROGRAM} stop --session gpu</pre>" in texts["index.html"]
    assert "default" not in texts["connect.sh"] + texts["connect.ps1"]
    command.write(CLUSTER, tmp_path / "kit")
    with pytest.raises(BadInput) as told:
        command.write(CLUSTER, tmp_path / "kit", session="gpu")
    assert str(told.value).startswith(f"--directory: {tmp_path / 'kit'} is a kit of another account or session.")


@pytest.mark.parametrize(
    ("route", "offer"), [("lan", "start --offer lan "), ("node", "start @"), ("reverse", "start --offer reverse ")]
)
def test_a_route_that_the_cluster_fixes_is_asked_for(route: str, offer: str) -> None:
    assert offer in _lines(kit.render(replace(CLUSTER, route=route)))["Start"][-1]


def test_what_windows_reads_has_its_line_ends_and_no_foreign_letter() -> None:
    texts = kit.render(CLUSTER)
    for name in ("connect.cmd", "connect.ps1"):
        assert texts[name].isascii()
        assert texts[name].count("\n") == texts[name].count("\r\n") > 3
    assert '-File "%~dp0connect.ps1" %*' in texts["connect.cmd"]


def test_the_ssh_configuration_checks_every_hop(tmp_path: Path) -> None:
    for name, text in kit.render(CLUSTER).items():
        (tmp_path / name).write_text(text)
    told = {}
    for config in (kit.CONFIG, kit.WINDOWS_CONFIG):
        for host in ("lab", "lab-gateway-2", "lab-gateway-1"):
            argv = ["ssh", "-G", "-F", config, host]
            done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=20)
            told[config, host] = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    login, windows = told[kit.CONFIG, "lab"], told[kit.WINDOWS_CONFIG, "lab"]
    assert (login["proxycommand"], windows["proxycommand"]) == (
        "ssh -F ssh_config -W [%h]:%p lab-gateway-2", "ssh.exe -F ssh_config_windows -W [%h]:%p lab-gateway-2"
    )
    assert (login["stricthostkeychecking"], login["userknownhostsfile"]) == ("true", "/dev/null")
    assert PIN.fingerprint in login["knownhostscommand"]
    assert (windows["stricthostkeychecking"], windows["userknownhostsfile"]) == ("ask", "known_hosts")
    assert told[kit.CONFIG, "lab-gateway-2"]["stricthostkeychecking"] == "ask"
    assert (told[kit.CONFIG, "lab-gateway-1"]["port"], told[kit.CONFIG, "lab-gateway-1"]["user"]) == ("2201", "bob")


def test_the_page_has_the_persons_own_steps_and_fingerprints() -> None:
    page = kit.render(CLUSTER)["index.html"]
    tree = ET.fromstring(page.split("</head>")[1].removesuffix("</html>\n").strip())  # noqa: S314
    said = " ".join(tree.itertext())
    assert [item.text for item in tree.iter("text")] == [
        "laptop", "this computer", "gateway", "gate.example.org", "gateway", "inner", "login host", "login.example.org",
        "node", "compute node",
    ]
    assert said.count(str(PIN)) == 2
    assert "none is known here: ask those who run lab" in said
    assert f"ssh -F ssh_config lab {PROGRAM} start" in said


def test_what_comes_from_the_inventory_is_escaped() -> None:
    hostile = replace(CLUSTER, user="<script>alert(1)</script>", name='"><b>')
    page = kit.render(hostile)["index.html"]
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"local": True}, "ACCOUNT: alice@lab is this machine. A kit is for an account on a cluster"),
        ({"route": "step"}, "hpc_route: 'step' cannot be done by plain ssh, so that a kit would not work. "
         "Use hpc-jupyter, or hpc_route: lan or reverse where the cluster allows it"),
    ],
)  # fmt: skip
def test_where_plain_ssh_is_not_enough_no_kit_is_written(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput) as told:
        kit.render(replace(CLUSTER, **changes))  # type: ignore[arg-type]
    assert str(told.value) == message


def test_the_command_writes_a_kit(environment: dict[str, str], tmp_path: Path) -> None:
    place = authority.Place(str(tmp_path / "ca"))
    lab = authority.make(place, name="Lab", passphrase="canary horse battery", days=30)
    argv = [sys.executable, "-m", "hpc_jupyter", "kit", "alice@lab", "--session", "gpu", "--json"]
    done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["account"], told["directory"], told["changed"]) == (
        "alice@lab", str(tmp_path / "hpc-jupyter-alice@lab-gpu"), True
    )
    assert sorted(os.listdir(told["directory"])) == told["files"]
    folder = Path(told["directory"])
    page = (folder / "index.html").read_text()
    assert (folder / "ca.pem").read_bytes() == (tmp_path / "ca/ca.pem").read_bytes()
    assert f"<q>{lab.name}</q>" in page
    assert f"<pre>{colons(lab.sha256)}</pre>" in page
    assert "certutil -user -addstore Root ca.pem" in page


def test_a_kit_is_written_once(tmp_path: Path) -> None:
    place = tmp_path / "kit"
    assert command.write(CLUSTER, place).changed
    assert sorted(path.name for path in place.iterdir()) == sorted(
        ["ssh_config", "ssh_config_windows", "connect.sh", "connect.cmd", "connect.ps1", "index.html"]
    )
    assert os.access(place / "connect.sh", os.X_OK)
    before = {path: path.stat().st_mtime_ns for path in place.iterdir()}
    (place / "known_hosts").write_text("mine")
    again = command.write(CLUSTER, place)
    assert again.lines()[0] == f"The kit of alice@lab is there already, as it should be: {place}"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (place / "known_hosts").read_text() == "mine"


def test_what_is_no_kit_of_this_account_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    command.write(replace(CLUSTER, account="bob@lab"), tmp_path / "bobs")
    for name, problem in (
        ("mine", "has files that are no kit"), ("bobs", "is a kit of another account or session"),
        ("file", "is not a directory"),
    ):
        with pytest.raises(BadInput) as told:
            command.write(CLUSTER, tmp_path / name)
        assert str(told.value) == f"--directory: {tmp_path / name} {problem}. Name another one"
    assert os.listdir(tmp_path / "mine") == ["thesis.tex"]


def test_shellcheck_has_nothing_to_say(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("shellcheck")
    for direct in ("slurm", "none"):
        script = tmp_path / f"{direct}.sh"
        script.write_text(kit.render(replace(CLUSTER, scheduler=direct))["connect.sh"])
        done = subprocess.run([program, script], capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout == ""


_SESSION = """\
#!/bin/sh
echo "$*" >>{home}/asked
case $1 in
start) echo "Ready on node1" ;;
status) [ "$4" = --json ] && cat {home}/status.json || echo "it runs" ;;
url) echo "http://127.0.0.1:$5{base}lab?token={token}" ;;
stop) echo "session default is stopped" ;;
esac
"""


@pytest.fixture
def folder(world: World) -> Path:
    """A kit of the account ``me@lab``, which has no queue, with the test's key."""
    place = world.home / "kit"
    place.mkdir()
    for name, text in kit.render(replace(world.cluster, scheduler="none")).items():
        (place / name).write_text(text)
    with (place / "ssh_config").open("a") as config:
        config.write(f"    IdentityFile {world.home}/id\n    IdentityAgent none\n")
    script = _SESSION.format(home=world.home, base=BASE_URL, token=TOKEN)
    (world.home / "root/hpc-session").write_text(script)
    (world.home / "status.json").write_text(json.dumps([asdict(world.record)], indent=2) + "\n")
    browser = f'#!/bin/sh\ncp "$1" {world.home}/page.new\nmv {world.home}/page.new {world.home}/page\n'
    (world.home / "browser").write_text(browser)
    (place / "connect.sh").chmod(0o755)
    (world.home / "browser").chmod(0o755)
    return place


def _environment(world: World, port: int) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(world.home), "TMPDIR": str(world.home),
            "HPC_JUPYTER_PORT": str(port), "BROWSER": str(world.home / "browser")}  # fmt: skip


def test_connect_opens_the_session_in_the_browser(world: World, folder: Path) -> None:
    port, opened = free_port(), world.home / "page"
    argv = [str(folder / "connect.sh"), "--time", "2:00:00"]
    with subprocess.Popen(argv, env=_environment(world, port), start_new_session=True, cwd="/") as process:
        deadline = time.monotonic() + 30
        while not opened.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert f"url=http://127.0.0.1:{port}{BASE_URL}lab?token={TOKEN}" in opened.read_text()
        assert ask(f"http://127.0.0.1:{port}{BASE_URL}", TOKEN).ok
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 130
    assert (world.home / "asked").read_text().splitlines() == [
        "start --time 2:00:00", "status --session default --json", f"url --session default --port {port}"
    ]
    assert not list(world.home.glob("hpcj.*"))


def test_a_port_that_is_taken_is_named(world: World, folder: Path) -> None:
    done = subprocess.run(
        [folder / "connect.sh"], env=_environment(world, world.port), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    another = f"HPC_JUPYTER_PORT={world.port + 1} ./connect.sh"
    assert f"port {world.port} could not be forwarded; another one: {another}" in done.stderr
    assert not (world.home / "page").exists()


@pytest.mark.parametrize(("verb", "said"), [("stop", "session default is stopped\n"), ("status", "it runs\n")])
def test_other_verbs_are_passed_on(world: World, folder: Path, verb: str, said: str) -> None:
    done = subprocess.run(
        [folder / "connect.sh", verb], env=_environment(world, free_port()), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, said)


@pytest.mark.parametrize("word", ["a b", "x'y", "$(id)", "a;b", "!x", ""])
def test_a_word_that_a_shell_could_take_for_its_own_is_refused(world: World, folder: Path, word: str) -> None:
    done = subprocess.run(
        [folder / "connect.sh", word], env=_environment(world, 1), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, f"connect.sh: '{word}' has characters that cannot be passed on\n")
    assert not (world.home / "asked").exists()


def test_an_unknown_host_key_is_never_accepted(world: World, folder: Path) -> None:
    config = folder / "ssh_config"
    config.write_text(re.sub(r"SHA256:[A-Za-z0-9+/]{43}", PIN.fingerprint, config.read_text()))
    done = subprocess.run(
        [folder / "connect.sh"], env=_environment(world, free_port()), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "which is not pinned" in done.stderr
    assert not (world.home / "asked").exists()
