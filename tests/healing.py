"""A connection in the lab that a background process holds, and what a test does to it and sees of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.laptop import Laptop

_STATE = "/home/alice/.local/state/hpc-jupyter/alice@lab"
_PATIENCE_SECONDS = 120.0


@dataclass
class Holding:
    """What ``launch --detach`` has left running on the laptop."""

    alice: Laptop
    told: dict[str, Any]

    @classmethod
    def launch(cls, alice: Laptop) -> Holding:
        """A session of two hours, and the connection to it."""
        alice.set_up()
        options = ("--time", "2:00:00", "--detach", "--json", "--no-browser")
        return cls(alice, json.loads(alice.cli("launch", "alice@lab", *options).stdout))

    @property
    def holder(self) -> int:
        """The process on the laptop that holds the connection."""
        return int(self.told["pid"])

    def ssh(self) -> list[int]:
        """The processes of the forward on the laptop: its ssh and the jump process of that."""
        found = self.alice.lab.host("client").processes(user="alice")
        return [pid for pid, argv in found if "-L" in argv or any(word.startswith("[c") for word in argv)]

    def master(self) -> int:
        """The login master on the laptop."""
        argv = ["ssh", "-F", "none", "-S", f"{_STATE}/control", "-O", "check", "--", "master"]
        said = self.alice.lab.host("client").run(argv, user="alice", check=False).stderr
        return int(said.partition("pid=")[2].partition(")")[0] or 0)

    def answers(self, *, seconds: float = 2) -> bool:
        """Whether the session itself answers at the address that was told first, with its token."""
        url, _page, token = str(self.told["url"]).partition("lab?token=")
        header = f"Authorization: token {token}"
        argv = ["curl", "--silent", "--max-time", str(seconds), "-H", header, f"{url}api/status"]
        return '"started"' in self.alice.lab.host("client").run(argv, user="alice", check=False).stdout

    def is_settled(self) -> bool:
        """Whether it answers by a forward that its holder has proven; one that breaks before is left for another."""
        state = json.loads(self.alice.lab.host("client").read(f"{_STATE}/default.session.json"))
        return state["ssh"]["pid"] in self.ssh() and self.answers()

    def log(self) -> list[str]:
        """What the holder has said."""
        return self.alice.lab.host("client").read(f"{_STATE}/default.log").splitlines()

    def until(self, true: Callable[[], object], *, seconds: float = _PATIENCE_SECONDS) -> float:
        """Wait for it; how long it took."""
        begun = time.monotonic()
        while not true():
            assert time.monotonic() < begun + seconds, self.log()
            time.sleep(0.05)
        return time.monotonic() - begun

    def kill(self, *pids: int, signal: str = "KILL") -> None:
        """Send a signal on the laptop."""
        self.alice.lab.host("client").run(["kill", f"-{signal}", *(str(pid) for pid in pids)], check=False)

    def all_of_ours(self) -> list[int]:
        """Everything that the person runs on the laptop."""
        return [pid for pid, _argv in self.alice.lab.host("client").processes(user="alice")]
