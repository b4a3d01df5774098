"""``doctor``: what is said, the exit code, and the report for a ticket, in which there is no secret and no name."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput

from hpc_jupyter import bundle
from hpc_jupyter.account import Account
from hpc_jupyter.exits import Exit
from hpc_jupyter.results import Diagnosis, Examined

PIN = "SHA256:" + "Ab+/" * 10 + "xyz"
FACTS = {
    "hpc_gateways": ["bob@gate.example.org"], "hpc_login_hosts": ["login.example.org"], "hpc_scheduler": "slurm",
    "hpc_host_keys": {"login.example.org": [PIN]},
}  # fmt: skip
SECRETS = (
    "token=5f2c1b", "http://localhost:8888/lab?token=abc", "password: hunter2", "https://me:hunter2@host/x",
    "argon2:$argon2id$v=19$m=10240,t=10,p=8$c2FsdA$aGFzaA", "sha1:67c9e60bb8b6:9ffede0825894254b2e042ea597d7710",
    "0123456789abcdef0123456789abcdef0123456789abcdef", PIN,
)  # fmt: skip


def check(state: str, text: str = "something", remedy: str = "") -> dict[str, str]:
    return {"check": "login", "state": state, "text": text, "remedy": remedy}


def found(*states: str) -> Diagnosis:
    return Diagnosis((Examined("alice@lab", tuple(check(state) for state in states)),))


@pytest.mark.parametrize(
    ("states", "verdict", "code"),
    [
        (("ok", "ok"), "alice@lab: all is well", Exit.OK),
        (("ok", "warn"), "alice@lab: 1 to look at", Exit.OK),
        (("fail", "warn", "fail"), "alice@lab: 2 wrong, 1 to look at", Exit.FAILED),
    ],
)
def test_the_verdict_and_the_exit_code(states: tuple[str, ...], verdict: str, code: Exit) -> None:
    assert (found(*states).lines()[0], found(*states).code) == (verdict, code)


def test_a_line_has_what_to_do() -> None:
    told = Examined("alice@lab", (check("warn", "900 MB left", "Remove something"), check("ok")))
    assert told.lines()[1:] == ["  warn login       900 MB left. Remove something", "  ok   login       something"]
    assert Diagnosis((told,)).to_json()["accounts"][0]["checks"][0]["remedy"] == "Remove something"


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_and_hashes_are_not_in_the_report(tmp_path: Path, secret: str) -> None:
    path = tmp_path / "ticket.txt"
    told = Diagnosis((Examined("alice@lab", (check("fail", f"it said {secret} and stopped"),)),))
    bundle.write(str(path), told, [Account("alice@lab", FACTS)])
    text = path.read_text()
    assert "and stopped" in text
    for part in ("5f2c1b", "token=abc", "hunter2", "argon2id", "9ffede", "0123456789abcdef", PIN[7:]):
        assert part not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_people_are_numbers_in_the_report(tmp_path: Path) -> None:
    said = check("ok", "gateway gate lets alice in; /home/alice, bob, alicestown")
    told = Diagnosis((Examined("alice@lab", (said,)),))
    bundle.write(str(tmp_path / "ticket.txt"), told, [Account("alice@lab", FACTS), Account("bob@lab", FACTS)])
    text = (tmp_path / "ticket.txt").read_text()
    assert "alice@" not in text
    assert "bob" not in text
    assert "alicestown" in text
    assert "login.example.org" in text


def test_facts_that_are_refused_are_in_the_report(tmp_path: Path) -> None:
    bundle.write(str(tmp_path / "t"), found("fail"), [Account("alice@lab", {"hpc_rute": "x"})])
    assert "hpc_rute" in (tmp_path / "t").read_text()


def test_a_place_that_is_taken_or_missing(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    with pytest.raises(BadInput) as caught:
        bundle.check(str(tmp_path / "there"))
    taken = f"--bundle: {tmp_path}/there exists already. Name another file, or remove it"
    assert str(caught.value) == taken
    with pytest.raises(BadInput) as caught:
        bundle.check(str(tmp_path / "no/file"))
    assert str(caught.value) == f"--bundle: {tmp_path}/no is no directory that can be written to. Name another file"


def test_json_of_the_command(tmp_path: Path) -> None:
    told = json.loads(json.dumps(found("ok").to_json()))
    assert told == {"accounts": [{"account": "alice@lab", "checks": [check("ok")]}], "bundle": ""}
