"""A gateway that asks for a password and a one-time code: both are typed once a launch."""

import json
import threading
import time
from collections.abc import Iterator

import pytest

from hpclab import sites
from tests import laptop, site

NODES = ("c1",)
ASKED = "One-time password (OATH) for `alice'"


@pytest.fixture(scope="module")
def otp() -> Iterator[site.Site]:
    with site.up(
        sites.ONE_TIME_CODE, example=False, hpc_route="node", jupyter_environment_kind="existing",
        jupyter_environment_path=laptop.JUPYTER,
    ) as running:  # fmt: skip
        yield running


def code(otp: site.Site, *, ahead_seconds: int = 0) -> str:
    """A code is taken once; the gateway's window is wide enough for one of the next half minutes."""
    argv = ["oathtool", "--totp", "-N", f"now + {ahead_seconds} seconds", sites.OTP_SECRET]
    return otp.lab.host("client").run(argv).stdout.strip()


def connect(otp: site.Site, verb: str, *codes: str) -> str:
    """What the terminal shows; the password and each code are typed once."""
    answers = [word for code in codes for word in (("Password: ", otp.lab.passwords["alice"]), (ASKED, code))]
    command = ("hpc-jupyter", "-i", "inventory", verb, otp.person.account, "--detach", "--no-browser")
    seen = otp.type(answers, *command)
    assert (seen.count("Password: "), seen.count(ASKED)) == (len(codes), len(codes))
    assert otp.lab.passwords["alice"] not in seen
    return seen


@pytest.mark.rows("F23", "F24")
def test_both_are_typed_once_for_everything(otp: site.Site) -> None:
    connect(otp, "launch", code(otp))
    session = otp.launch(verb="connect")
    session.check(route="node", nodes=NODES)
    otp.person.play("status")
    otp.person.cli("disconnect", otp.person.account)
    otp.log_out()
    _nobody_is_there_to_type(otp)
    connect(otp, "connect", code(otp, ahead_seconds=60))
    otp.person.cli("disconnect", otp.person.account)
    _after_a_break_both_are_asked_for_once(otp)
    otp.stop()


def _nobody_is_there_to_type(otp: site.Site) -> None:
    """It fails at once and says who would be asked for what."""
    told = laptop.failed(otp.person.cli("connect", otp.person.account, "--detach", "--no-browser", check=False))
    assert "otp: gateway gate: alice was not let in" in told
    assert "(it takes: keyboard-interactive)" in told


def _after_a_break_both_are_asked_for_once(otp: site.Site) -> None:
    """The very terminal that holds the connection asks, and it is there again under the same address."""
    answers = [
        ("Password: ", otp.lab.passwords["alice"]), (ASKED, code(otp, ahead_seconds=120)), ("Back after", "\x03"),
    ]  # fmt: skip
    command = ("hpc-jupyter", "-i", "inventory", "connect", otp.person.account, "--no-browser")
    breaking = threading.Thread(target=_break, args=[otp])
    breaking.start()
    seen = otp.type(answers, *command)
    breaking.join()
    assert (seen.count("Password: "), seen.count(ASKED)) == (1, 1)
    assert "gateway gate: alice was not let in" in seen
    assert "; log in again" in seen
    assert "Disconnected; the session goes on" in seen


def _break(otp: site.Site) -> None:
    """End the login once the connection is held."""
    held = f"/home/alice/.local/state/hpc-jupyter/{otp.person.account}/default.session.json"
    client, deadline = otp.lab.host("client"), time.monotonic() + 90
    while not json.loads(client.read(held))["ssh"]["pid"] and time.monotonic() < deadline:
        time.sleep(0.1)
    otp.log_out()
