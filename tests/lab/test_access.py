"""From an account with nothing but a password to a notebook by plain ssh, and back without a trace."""

import dataclasses
import json
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import PIPE, STDOUT

import pytest

from hpclab import Lab, topologies
from tests import laptop
from tests.healing import Holding

_HOMES = tuple(dataclasses.replace(home, key=False, authorized=()) for home in topologies.SLURM.homes)
_PASSWORDS = dataclasses.replace(topologies.SLURM, homes=_HOMES)
_WORD = ("--connection-password-file", "word")
_OF_JUPYTER = {"jupyter_server_password": "canary: the first one"}
_NEXT = {"jupyter_server_password": "canary: the next one"}
_LOGIN_HOSTS = ("login1", "login2")
_PERSONS = "Host *\n    ForwardX11 no\n"


@pytest.fixture(scope="module")
def password_lab() -> Iterator[Lab]:
    """Gateway, login hosts and nodes, on which nobody has a key."""
    with laptop.up(f"access-{os.getpid()}", topology=_PASSWORDS) as lab:
        yield lab


@pytest.fixture
def alice(password_lab: Lab) -> laptop.Laptop:
    """Alice, who has written down her password, and a line of ssh configuration of her own."""
    person = laptop.Laptop(password_lab)
    person.write_inventory(**_OF_JUPYTER)
    client = password_lab.host("client")
    _write_word(person)
    client.run(["sh", "-c", f"mkdir -pm 700 ~/.ssh && printf '{_PERSONS}' >~/.ssh/config"], user="alice")
    client.run(["mkdir", "-p", "/home/alice/.ansible/tmp"], user="alice")  # ansible's own, which it leaves behind
    return person


def _homes(lab: Lab) -> set[str]:
    """Every file of each of her homes, with its mode and content."""
    # Ansible's own directory too, whether on the laptop or on an account.
    listed = "cd; find . -printf '%p %M %l\\n' | sort"
    argv = ["sh", "-c", f"{listed}; find . -type f -exec sha256sum {{}} + | sort"]
    hosts = ("client", "gate", "login1")
    return {f"{name} {line}" for name in hosts for line in lab.host(name).run(argv, user="alice").stdout.splitlines()}


def _ssh(person: laptop.Laptop, *words: str) -> str:
    """What she gets by plain ssh, without typing anything."""
    argv = ["ssh", "-o", "BatchMode=yes", *words]
    return person.lab.host("client").run(argv, user=person.user, check=False).stdout.strip().rpartition("\n")[2]


def _by_kit(person: laptop.Laptop, *words: str) -> str:
    """Run the kit's ``connect.sh`` until the session answers on its port; gives the answer's first line."""
    client = person.lab.host("client")
    with client.popen(["kit/connect.sh", *words], user=person.user, stdout=PIPE, stderr=STDOUT) as process:
        try:
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and process.poll() is None:
                argv = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{_port(person)}/"]
                answer = client.run(argv, user=person.user, check=False).stdout
                if answer not in ("", "000"):
                    return answer
                time.sleep(0.3)
        finally:
            process.interrupt()
            told = process.communicate(timeout=30)[0]
    raise AssertionError(told)


def _port(person: laptop.Laptop) -> str:
    found = re.search(r"HPC_JUPYTER_PORT:-(\d+)", person.lab.host("client").read("/home/alice/kit/connect.sh"))
    assert found
    return found[1]


def _write_word(person: laptop.Laptop) -> None:
    person.lab.host("client").write("/home/alice/word", "wonderland 7\n", owner="alice", mode=0o600)


def _onboard(person: laptop.Laptop) -> None:
    """The password is needed once; the second run has none, and changes nothing."""
    person.play("onboard", *_WORD, *laptop.EXISTING, "--check", "--diff")
    assert _ssh(person, "lab", "hostname") == ""
    done = person.play("onboard", *_WORD, *laptop.EXISTING)
    assert laptop.changed(done) >= 5
    assert "By hand: ssh lab" in done.stdout
    assert "still asks for a password" not in done.stdout
    assert "wonderland" not in done.stdout + done.stderr
    person.lab.host("client").run(["rm", "word"], user="alice")
    _ssh(person, "-O", "exit", "lab")
    assert laptop.changed(person.play("onboard", *laptop.EXISTING)) == 0


def _use(person: laptop.Laptop) -> None:
    """By hand, and by the kit."""
    _ssh(person, "-O", "exit", "lab")
    assert _ssh(person, "lab", "hostname") in _LOGIN_HOSTS
    person.cli("launch", "alice@lab", "--detach", "--no-browser")
    node = person.record()["node"]
    assert _ssh(person, f"lab-{node}", "hostname") == node
    person.cli("disconnect", "alice@lab")
    person.cli("kit", "alice@lab", "--directory", "kit")
    assert _by_kit(person) in ("302", "404")
    person.lab.host("client").run(["rm", "-r", "kit"], user="alice")


def _ways_back(person: laptop.Laptop) -> set[str]:
    """The lines of the way back on her account."""
    text = person.lab.host("login1").read("/home/alice/.ssh/authorized_keys")
    return {line for line in text.splitlines() if line.endswith("hpc-jupyter-reverse-lab")}


def _lines(person: laptop.Laptop) -> list[str]:
    """Who is let in at the gateway and on the account."""
    hosts = (person.lab.host(name) for name in ("gate", "login1"))
    return [line for host in hosts for line in host.read("/home/alice/.ssh/authorized_keys").splitlines()]


def _be_refused(person: laptop.Laptop) -> None:
    """Where the login host does not take the new key, the row says so, and the old one opens every hop as before."""
    client, login = person.lab.host("client"), person.lab.host("login1")
    client.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/home/alice/.ssh/other"], user="alice")
    public = client.read("/home/alice/.ssh/other.pub").split()[1]
    before = _lines(person)
    add = f"echo 'expiry-time=\"20200101\" ssh-ed25519 {public}' >>~/.ssh/authorized_keys"
    login.run(["sh", "-c", add], user="alice")
    done = person.play("rotate", "-e", "jupyter_access_key=~/.ssh/other", *laptop.EXISTING, check=False)
    assert done.returncode == 2
    assert (
        "alice@lab  failed  Let the new key in: login host login does not take the new key /home/alice/.ssh/other. "
        "Nothing was taken back: the old key opens every hop as before. "
    ) in done.stdout, done.stdout
    assert [line for line in _lines(person) if public not in line] == before
    assert _ssh(person, "-o", "ControlPath=none", "lab", "hostname") in _LOGIN_HOSTS
    for host in (person.lab.host("gate"), login):
        host.run(["sed", "-i", f"\\|{public}|d", "/home/alice/.ssh/authorized_keys"], user="alice")
    client.run(["sh", "-c", "rm ~/.ssh/other ~/.ssh/other.pub"], user="alice")


def _held(person: laptop.Laptop) -> Holding:
    """A connection to the session that runs, held in the background."""
    told = person.cli("connect", "alice@lab", "--detach", "--json", "--no-browser").stdout
    return Holding(person, json.loads(told))


def _renew(person: laptop.Laptop, held: Holding) -> str:
    """Play ``rotate``; at every moment meanwhile the session answers, and whoever comes anew is let in."""
    key = ("-e", "jupyter_access_key=~/.ssh/next")
    seen = []
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(person.play, "rotate", *key, *laptop.EXISTING)
        while not playing.done():
            seen += [held.answers(), _ssh(person, "-o", "ControlPath=none", "lab", "hostname") in _LOGIN_HOSTS]
    told = playing.result().stdout
    assert (len(seen) > 4, all(seen)) == (True, True), seen
    return told


def _rotate(person: laptop.Laptop) -> None:
    """Another key and password, while a session runs: the old key is taken back, and its owner goes on."""
    client, before, held = person.lab.host("client"), _ways_back(person), _held(person)
    person.write_inventory(**_NEXT)
    told = _renew(person, held)
    renewed = "key that logs in, certificate, key of the way back, hash of the password"
    assert f"alice@lab  renewed  {renewed}, in /home/alice/.local/share/hpc-jupyter/lab" in told
    assert "where the site has announced others: hpc-jupyter trust lab --write" in told
    assert "canary" not in told
    assert (len(before), len(_ways_back(person)), before & _ways_back(person)) == (1, 1, set())
    old, new = (client.read(f"/home/alice/.ssh/{name}.pub").split()[1] for name in ("id_ed25519", "next"))
    assert ["".join(_lines(person)).count(key) for key in (old, new)] == [0, 2]
    client.run(["sh", "-c", "rm ~/.ssh/id_ed25519 ~/.ssh/id_ed25519.pub"], user="alice")
    person.cli("disconnect", "alice@lab")
    person.cli("logout", "alice@lab")
    again = _held(person)
    assert (again.told["url"], again.answers()) == (held.told["url"], True)
    person.cli("disconnect", "alice@lab")


def _go(person: laptop.Laptop) -> None:
    """From two accounts at once that share the hosts, the home and the key: neither needs it for the other."""
    key = ("-e", "jupyter_access_key=~/.ssh/next")
    person.name_cluster("two")
    _write_word(person)
    done = person.play("onboard", "--limit", "alice@two", *_WORD, *key, *laptop.EXISTING)
    assert "alice@two  done  in" in done.stdout, done.stdout
    done = person.play("offboard", *key, "-e", "jupyter_access_remove_key=true", "-e", "jupyter_access_all=true")
    for account in ("alice@lab", "alice@two"):
        assert f"{account}  removed  from the account and this machine" in done.stdout, done.stdout
    assert " stays" not in done.stdout
    person.write_inventory(**_OF_JUPYTER)
    person.lab.host("client").run(["rm", "inventory/group_vars/two.yml"], user=person.user)


def test_from_a_password_to_a_key_and_back(alice: laptop.Laptop) -> None:
    before = _homes(alice.lab)
    _onboard(alice)
    _use(alice)
    _be_refused(alice)
    _rotate(alice)
    _go(alice)
    # What Jupyter and its programs leave in a person's home is the person's; nothing else may be beside it.
    script = "cd; rm -rf .ipython .npm .jupyter .local/share/jupyter; [ ! -d .local ] || rmdir -p .local/share"
    alice.lab.host("login1").run(["sh", "-c", script], user="alice")
    assert _homes(alice.lab) ^ before == set()
    assert _ssh(alice, "lab", "hostname") == ""
