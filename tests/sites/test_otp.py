"""A gateway that asks for a password and a one-time code: both are typed once a launch."""

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


def test_both_are_typed_once(otp: site.Site) -> None:
    launch = ("hpc-jupyter", "-i", "inventory", "launch", otp.person.account, "--detach", "--no-browser")
    seen = otp.type([("Password: ", otp.lab.passwords["alice"]), (ASKED, code(otp))], *launch)
    assert (seen.count("Password: "), seen.count(ASKED)) == (1, 1)
    assert otp.lab.passwords["alice"] not in seen
    session = otp.launch(verb="connect")
    session.check(route="node", nodes=NODES)
    otp.stop()
