"""Somebody at the lab's laptop who has nothing but this collection, and writes inventories and playbooks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from subprocess import CompletedProcess
from typing import Any

from hpclab import Lab
from tests.laptop import FOUND, PREFIX, ROOT

PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - hpc.jupyter.connect:
        timeout_seconds: "{{ patience | default(15) }}"
      register: way
    - ansible.builtin.debug:
        msg: "opened={{ way.opened }}"
    - ansible.builtin.ping:
    - ansible.builtin.command: hostname
      register: there
      changed_when: false
    - ansible.builtin.debug:
        msg: "there={{ there.stdout }}"
"""


@dataclass
class Person:
    """Somebody at the laptop."""

    lab: Lab
    name: str = "alice"

    def facts(self, **changes: Any) -> dict[str, Any]:
        """What the inventory says of the cluster."""
        return {**{f"hpc_{name}": value for name, value in self.lab.facts().items()}, **changes}

    def run(self, *argv: str, env: dict[str, str] | None = None) -> CompletedProcess[str]:
        """A program on the laptop."""
        where = f"/home/{self.name}"
        given = {**FOUND, **(env or {})}
        return self.lab.host("client").run(argv, user=self.name, env=given, check=False, cwd=where)

    def write(self, path: str, text: str, *, mode: int = 0o600) -> str:
        """A file in the home directory of the laptop."""
        whole = f"/home/{self.name}/{path}"
        self.lab.host("client").write(whole, text, owner=self.name, mode=mode)
        return whole

    def play(self, *arguments: str, accounts: tuple[str, ...] = (), **changes: Any) -> str:
        """What ansible-playbook says."""
        hosts: dict[str, object] = {account: {} for account in accounts or (f"{self.name}@lab",)}
        inventory = {"lab": {"hosts": hosts, "vars": self.facts(**changes)}}
        self.write("hosts.json", json.dumps(inventory))
        self.write("way.yml", PLAY)
        self.write("group_vars/all.yml", (ROOT / "playbooks/group_vars/all.yml").read_text())
        argv = [f"{PREFIX}/bin/ansible-playbook", "-i", "hosts.json", "way.yml", *arguments]
        done = self.run(*argv)
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def forget_keys(self) -> None:
        """The sites know no key of this person."""
        for host in ("gate", "login1"):
            self.lab.host(host).run(["rm", "-f", f"/home/{self.name}/.ssh/authorized_keys"])
