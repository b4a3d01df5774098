"""Which keys the hops of a way present, and what becomes of them; real servers on loopback."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput
from ansible_collections.hpc.jupyter.plugins.plugin_utils import ssh_config

from hpc_jupyter.commands import trust
from hpc_jupyter.context import Context
from hpc_jupyter.exits import Exit
from tests.cli.ssh_servers import GATE, LOGIN, WRONG, Way, keys, way  # noqa: F401  (fixtures)


@pytest.fixture
def unknown(way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:  # noqa: F811
    """A way of which nothing is pinned."""
    way.write(host_keys=())
    own = functools.partial(
        ssh_config.write, directory=way.files.directory, own_configs=[str(way.home / "own_config")]
    )
    monkeypatch.setattr(ssh_config, "write", own)
    monkeypatch.setattr(trust, "_cluster", lambda _context, _name: way.cluster)
    monkeypatch.setattr(trust, "_file", lambda _context, _cluster: str(tmp_path / "lab.accounts.host_keys.txt"))
    return way


def _run(*fingerprints: str, write: bool = False) -> trust.Trusted:
    return trust.run(Context(), "lab", write=write, fingerprints=fingerprints)


def test_a_hop_is_shown_and_what_is_behind_it_once_it_is_trusted(unknown: Way) -> None:
    pins = [f"{unknown.gate.pin()} (ED25519)", f"{unknown.gate.pin('rsa')} (RSA)"]
    shown = _run()
    assert shown.code == Exit.UNREACHABLE
    assert shown.lines() == [
        f"gateway {GATE} presents", f"  {pins[0]}", f"  {pins[1]}",
        f"login host {LOGIN}: gateway {GATE}: its ED25519 host key is not known. Pin the fingerprint that the site "
        f'publishes: hpc_host_keys: {{{GATE}: ["SHA256:…"]}}',
        "Compare with what the site tells you on another way. What is the same belongs into the inventory:",
        "hpc_host_keys:", f'  {GATE}: ["{pins[0]}", "{pins[1]}"]',
    ]  # fmt: skip
    assert "Accepted" not in (unknown.gate.directory / "log").read_text()


def test_what_is_confirmed_is_pinned_and_nothing_else(unknown: Way, tmp_path: Path) -> None:
    file = tmp_path / "lab.accounts.host_keys.txt"
    with pytest.raises(BadInput, match="--fingerprint: 'SHA256:x' is not a fingerprint"):
        _run("SHA256:x", write=True)
    assert _run(str(WRONG), write=True).code == Exit.UNREACHABLE
    assert not file.exists()
    gate, login = f"{unknown.gate.pin()} (ED25519)", str(unknown.login.pin("rsa"))
    done = _run(gate, login, write=True)
    assert (done.code, done.written) == (Exit.OK, (GATE, LOGIN))
    pinned = [f"lab {GATE} {gate}", f"lab {LOGIN} {login} (RSA)"]
    assert file.read_text().splitlines()[1:] == pinned
    unknown.write(host_keys=((GATE, (unknown.gate.pin(),)), (LOGIN, (unknown.login.pin("rsa"),))))
    again = _run(gate, write=True)
    assert (again.code, again.written) == (Exit.OK, ())
    assert again.lines()[0] == f"gateway {GATE} presents, as pinned"


@pytest.fixture
def terminal(
    way: Way, environment: dict[str, str], tmp_path: Path  # noqa: F811
) -> Iterator[pexpect.spawn[str]]:  # fmt: skip
    """``trust --write`` of a cluster without a gateway, with somebody to answer."""
    facts = f"{{hpc_login_hosts: [{LOGIN}], hpc_login_port: {way.login.port}, hpc_scheduler: slurm}}"
    file = tmp_path / "lab.accounts.yml"
    file.write_text(f"plugin: hpc.jupyter.accounts\nclusters: {{lab: {facts}}}\npeople: {{me: {{accounts: [lab]}}}}\n")
    argv = ["-m", "hpc_jupyter", "-i", str(file), "trust", "lab", "--write"]
    with pexpect.spawn(
        sys.executable, argv, env=environment, timeout=60, encoding="utf-8", dimensions=(24, 300)
    ) as spawned:
        yield spawned


@pytest.mark.parametrize("answer", ["", "no", "yes"])
def test_a_person_who_does_not_say_yes_pins_nothing(
    terminal: pexpect.spawn[str], way: Way, tmp_path: Path, answer: str  # noqa: F811
) -> None:  # fmt: skip
    file = tmp_path / "lab.accounts.host_keys.txt"
    pins = [f"{way.login.pin()} (ED25519)", f"{way.login.pin('rsa')} (RSA)"]
    terminal.expect_exact("Is that what the site has told you on another way? [y/N]: ")
    assert str(terminal.before).endswith(f"login host {LOGIN} presents\r\n  {pins[0]}\r\n  {pins[1]}\r\n")
    terminal.sendline(answer)
    terminal.expect(pexpect.EOF)
    told = f"Pinned in {file}: {LOGIN}" in str(terminal.before)
    if answer == "yes":
        assert (terminal.wait(), told) == (Exit.OK, True)
        assert file.read_text().splitlines()[1:] == [f"lab {LOGIN} {pin}" for pin in pins]
    else:
        assert (terminal.wait(), told, file.exists()) == (Exit.FAILED, False, False)
