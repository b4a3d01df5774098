"""Alice, who is careless, with a running session, and what mallory has prepared on every host: see ``test_threats``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hpclab import Lab, topologies
from tests import mallory
from tests.laptop import JUPYTER, ROOT, Laptop
from tests.mallory import Sight

HOSTS = tuple(host.name for host in topologies.SLURM.hosts)
ALICE = topologies.SLURM.user("alice").uid
PASSWORD = "canary of alice's 1"
OTHER = "canary of alice's 2"
PORT = 18765
TRAPS = ("hpcj-00000000", "hpcl-00000000")
_AGENT = ("ssh-agent", "-D", "-a", "/home/alice/agent")
_OPEN = {
    "ServerApp": {
        "ip": "*", "port": 8888, "allow_origin": "*", "allow_remote_access": True, "disable_check_xsrf": True,
        "token": "", "password": "", "cookie_secret": "known", "allow_root": True, "sock": "",
    },
    "IdentityProvider": {"token": ""},
    "KernelManager": {"transport": "tcp", "ip": "*"},
}  # fmt: skip
_HOSTILE = {
    ".jupyter/jupyter_server_config.json": json.dumps(_OPEN),
    ".jupyter/jupyter_notebook_config.json": json.dumps(_OPEN),
    ".jupyter/jupyter_server_config.py": "open('/home/alice/was-read', 'w').close()\n",
    ".jupyter/jupyter_lab_config.py": "c.ServerApp.ip = '*'\nopen('/home/alice/was-read', 'w').close()\n",
}
_EAR = """
import socket, sys
listener = socket.create_server(("::1", int(sys.argv[1])), family=socket.AF_INET6)
with open(sys.argv[2], "wb", buffering=0) as heard:
    while True:
        caller = listener.accept()[0]
        caller.settimeout(1)
        try:
            heard.write(caller.recv(65536))
        except OSError:
            pass
        caller.close()
"""


@dataclass(frozen=True)
class Scene:
    """Alice's one session, what its launch told, and her secrets."""

    person: Laptop
    told: dict[str, Any]
    secrets: dict[str, str | bytes]

    @property
    def lab(self) -> Lab:
        """The lab."""
        return self.person.lab

    @property
    def node(self) -> str:
        """The node that the session runs on."""
        return str(self.told["node"])

    @property
    def base(self) -> str:
        """The session's address on the laptop, without the token."""
        return str(self.told["url"]).rpartition("/lab")[0]

    @property
    def authorization(self) -> str:
        """The header with which alice gets in."""
        return f"Authorization: token {self.secrets['token']!s}"

    def see(self, host: str, *, user: str = "mallory") -> Sight:
        """What somebody sees of the secrets on a host."""
        return mallory.look(self.lab, host, self.secrets, user=user)

    def curl(self, path: str, *options: str, user: str = "mallory") -> str:
        """The status of an answer through alice's forward."""
        argv = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", *options]
        return self.lab.host("client").run([*argv, f"{self.base}{path}"], user=user).stdout

    def script(self, text: str, *arguments: str) -> Any:
        """What a Python program prints, as JSON, at the laptop, beside ``cell.py``; it stands for her browser."""
        argv = [f"{JUPYTER}/bin/python", "-c", f"import sys; sys.path.insert(0, '/srv')\n{text}", *arguments]
        return json.loads(self.lab.host("client").run(argv, user="alice", timeout=90).stdout)


@contextlib.contextmanager
def at_work(lab: Lab) -> Iterator[Scene]:
    """Alice with a session, from its launch to its stop."""
    lab.mend()
    for user in topologies.USERS:
        lab.clean_account(user.name)
    person = Laptop(lab)
    _be_careless(person)
    _set_traps(lab)
    client = lab.host("client")
    listener = ["python3", "-c", _EAR, str(PORT), "/tmp/heard"]
    with client.popen(listener, user="mallory") as ear, client.popen(_AGENT, user="alice") as agent:
        asked = ("launch", "alice@lab", "--detach", "--no-browser", "--json", "--port", str(PORT))
        done = person.run(
            "hpc-jupyter", "-i", "inventory", *asked, timeout=280, env={"SSH_AUTH_SOCK": "/home/alice/agent"}
        )
        yield Scene(person, json.loads(done.stdout), {**session_secrets(person), "password": PASSWORD})
        person.cli("stop", "alice@lab")
        ear.kill()
        agent.kill()


def _be_careless(person: Laptop) -> None:
    """Open homes, directories made before with mode 0755, a password in a file, and configuration that lets all in."""
    client, login = person.lab.host("client"), person.login
    client.write("/srv/cell.py", (ROOT / "tests/cell.py").read_text(encoding="utf-8"))
    person.write_inventory(jupyter_environment_kind="existing", jupyter_environment_path=JUPYTER)
    client.write(
        f"/home/alice/inventory/host_vars/{person.account}.yml", json.dumps({"jupyter_server_password": PASSWORD}),
        owner="alice", mode=0o600,
    )  # fmt: skip
    client.write("/home/alice/.ssh/config", "Host *\n    ForwardAgent yes\n", owner="alice", mode=0o600)
    state = f"~/.local/state/hpc-jupyter/{person.account}"
    client.run(["sh", "-c", f"mkdir -p {state} && chmod -R 755 ~/.local && chmod 755 ~"], user="alice")
    for name, text in _HOSTILE.items():
        login.write(f"/home/alice/{name}", text, owner="alice")
    sessions = "~/.local/share/hpc-jupyter/lab/sessions/default"
    runtime = "~/.local/share/jupyter/runtime"
    login.run(["chown", "-R", "alice:", "/home/alice/.jupyter"])
    login.run(["sh", "-c", f"mkdir -p {sessions} {runtime} && chmod -R 755 ~/.local && chmod 755 ~"], user="alice")


def _set_traps(lab: Lab) -> None:
    """What mallory can guess of the names that will be used, she has taken before."""
    session = "/home/alice/.local/share/hpc-jupyter/lab/sessions/default"
    lines = f"umask 0; cd /tmp; mkdir {TRAPS[0]} {TRAPS[1]}; printf '1\\n{session}\\n' >{TRAPS[0]}/session"
    for host in HOSTS:
        lab.host(host).run(["sh", "-c", f"{lines}; ln -s /etc/passwd /tmp/hpc-jupyter"], user="mallory")


def session_secrets(person: Laptop, session: str = "default") -> dict[str, str | bytes]:
    """The secrets of one of her sessions, as the cluster has them."""
    home = person.login.root / f"home/alice/.local/share/hpc-jupyter/lab/sessions/{session}"
    return {"token": (home / "token").read_text(), "cookie secret": (home / "cookie_secret").read_bytes()}
