"""A real browser that trusts the lab's authority opens a session on the node's port without a word of warning."""

from __future__ import annotations

import json
from pathlib import Path

from hpclab import Lab
from tests.chromium import SHOTS, chromium, run_cell
from tests.laptop import Laptop

CELL = "import socket; print('cell ran on', socket.gethostname())"
PASSPHRASE = "/home/alice/passphrase"
GIVEN = json.dumps({"jupyter_server_authority_passphrase": f"{{{{ lookup('ansible.builtin.file', '{PASSPHRASE}') }}}}"})


def _have_an_authority(alice: Laptop) -> str:
    """Made by the admin, trusted by the browser; its name."""
    alice.lab.host("client").write(PASSPHRASE, "correct horse battery\n", owner=alice.user, mode=0o600)
    made = json.loads(alice.cli("ca", "make", "--name", "Lab", "--passphrase-file", PASSPHRASE, "--json").stdout)
    alice.cli("ca", "install", "--yes")
    return str(made["name"])


def test_the_browser_believes_the_labs_authority(alice: Laptop, lab: Lab, tmp_path: Path) -> None:
    alice.write_inventory(hpc_route="lan")
    name = _have_an_authority(alice)
    alice.set_up()
    assert "changed=1 " in alice.play("certificates", "-e", GIVEN).stdout
    with chromium(lab, tmp_path) as browser, alice.connected("launch", alice.account) as url:
        page = browser.new_page()
        page.goto(url)
        try:
            run_cell(page, CELL)
            page.get_by_text(f"cell ran on {alice.record()['node']}", exact=True).wait_for(timeout=60_000)
        finally:
            page.screenshot(path=SHOTS / "authority.png")
        shown = page.reload()
        assert shown is not None
        details = shown.security_details()
        assert details is not None
        assert details["issuer"] == name
        assert alice.record()["offer"] == "lan"
