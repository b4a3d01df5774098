"""The lab's authority and its accounts: who signs what, with which passphrase, and what is left alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.plugin_utils import authority

from tests import typist
from tests.playbooks.plays import NAME, Home, Played

PASSPHRASE = "canary-Zq7 horse battery"
WITH = {"jupyter_server_authority_passphrase": PASSPHRASE}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An account that is set up as far as this goes, without an authority."""
    made = Home(tmp_path / "home")
    made.server.mkdir(parents=True, mode=0o700)
    return made


def make_authority(home: Home, *, days: int = 3650) -> authority.Authority:
    """Beside the inventory, where it is looked for."""
    place = authority.Place(str(home.path.parent / "ca"))
    return authority.make(place, name="Lab", passphrase=PASSPHRASE, days=days)


def renew(home: Home, *options: str, **variables: object) -> Played:
    """The playbook that renews, on one account."""
    played = home.play("certificates.yml", "--diff", *options, **variables)
    assert PASSPHRASE not in played.out
    return played


def pem(home: Home) -> str:
    """The account's certificate."""
    return (home.server / "cert.pem").read_text()


def test_an_authority_takes_over_and_nothing_happens_twice(home: Home) -> None:
    assert renew(home).changed == 1  # nobody has made an authority
    own, lab = pem(home), make_authority(home, days=20)  # what it signs cannot last longer either
    assert not lab.vouches(own)
    would = renew(home, "--check", **WITH)
    assert would.changed == 1
    assert re.search(r"-SHA-256 \w{64}\n\+# cert.pem is not the lab's authority's\n\+SHA-256 \(new\)\n", would.out)
    assert pem(home) == own
    assert renew(home, "-vvv", **WITH).changed == 1
    signed, listing = pem(home), home.listing()
    assert lab.vouches(signed)
    assert _modes(home) == {"key.pem": "600", "cert.pem": "600"}
    for options in ((), ("--check",)):
        assert renew(home, *options, **WITH).changed == 0
    assert home.listing() == listing
    _verified(home, lab)


def _modes(home: Home) -> dict[str, str]:
    return {path.name: f"{path.stat().st_mode & 0o777:o}" for path in home.server.iterdir()}


def _verified(home: Home, lab: authority.Authority) -> None:
    """By somebody else's program, for the name and the address that a browser asks for."""
    for asked in (("-verify_hostname", "localhost"), ("-verify_ip", "127.0.0.1")):
        argv = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", *asked, "-CAfile", lab.place.certificate]
        subprocess.run([*argv, str(home.server / "cert.pem")], check=True, capture_output=True, timeout=30)


def test_without_the_passphrase_what_is_good_stays_and_the_rest_is_said(home: Home) -> None:
    lab = make_authority(home)
    played = renew(home)
    said = "No certificate of the lab's authority: there is no key.pem, and its passphrase was not given"
    assert (played.code, played.changed) == (0, 1), played.out
    assert said in played.out
    own = pem(home)
    again = renew(home)
    assert again.changed == 0
    assert said.replace("there is no key.pem", "cert.pem is not the lab's authority's") in again.out
    wrong = renew(home, jupyter_server_authority_passphrase="wrong horse battery")
    assert wrong.code == 2
    assert f"{lab.place.key}: the passphrase is wrong" in wrong.out
    assert (pem(home), sorted(_modes(home))) == (own, ["cert.pem", "key.pem"])
    _asked(home, "certificates.yml")
    assert lab.vouches(pem(home))
    signed = pem(home)
    _asked(home, "rotate.yml")
    assert lab.vouches(pem(home))
    assert pem(home) != signed


def _asked(home: Home, playbook: str) -> None:
    """On a terminal the passphrase is asked for, also where the first account has no need of it."""
    first = home.path.parent / "first.yml"
    facts = {"ansible_connection": "local", "hpc_scheduler": "none", "jupyter_server_tls": "never"}
    first.write_text(json.dumps({"all": {"hosts": {"first@here": facts}}}))
    answers = json.dumps([("Passphrase of the lab's certificate authority", PASSPHRASE)])
    argv = [sys.executable, typist.__file__, answers, *_after(first, home.command(playbook, "--diff"))]
    done = subprocess.run(
        argv, env=home.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout
    assert PASSPHRASE not in done.stdout
    assert "first@here" in done.stdout


def _after(inventory: Path, command: list[str]) -> list[str]:
    """``command`` with the accounts of ``inventory`` before its own."""
    return [command[0], "-i", str(inventory), *command[1:]]


def test_an_account_that_was_never_set_up_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.path.mkdir()
    played = renew(home)
    assert played.code == 2
    assert f"{home.server} is not there. Set the account up first, with the playbook hpc.jupyter.setup" in played.out
    assert not home.root.exists()


def test_how_long_a_certificate_can_be_good_is_checked_on_the_account(home: Home) -> None:
    """By the module account: the playbook that renews has no preflight of the role's."""
    played = renew(home, "--check", jupyter_server_certificate_days=4000)
    assert played.code == 2
    assert "jupyter_server_certificate_days: 4000 is not between 1 and 3650" in played.out


def test_rotation_makes_another_certificate_though_the_one_there_is_good(home: Home) -> None:
    lab, anew = make_authority(home), {"jupyter_server_renew": True}
    alone = {**anew, "jupyter_server_authority": "/none"}
    show = f"cat {home.server}/cert.pem {home.server}/key.pem"
    turns = home.in_turn("jupyter_server", WITH, {**WITH, **anew}, anew, alone, show=show)
    shown = [turn.shown for turn in turns]
    assert [(turn.changed > 0, lab.vouches(turn.shown)) for turn in turns] == [
        (True, True), (True, True), (False, True), (True, False),
    ]
    bodies = [text.split("-----")[2::4] for text in shown]
    assert len({*bodies[0], *bodies[1], *bodies[3]}) == 6
    reason = "a new one is asked for, and its passphrase was not given"
    assert (shown[2], f"No new certificate of the lab's authority: {reason}" in turns[2].out) == (shown[1], True)
    listing = home.listing()
    would = home.play("rotate.yml", "--check", jupyter_server_authority="/none")
    assert f'"{NAME}  would be renewed  certificate, in {home.root}"' in would.out
    assert (would.code, home.listing()) == (0, listing)

