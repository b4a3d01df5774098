"""JupyterLab for an account that has none."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.desk import Desk, own_play
from tests.bench.places import Places
from tests.bench.rounds import Turns
from tests.bench.rows import TIMES, Result, Row, against, medians
from tests.laptop import TOOLS, WHEELS

INSTALL = Row(
    "environment install, against pip install in a venv", 0.5, TIMES,
    "the role alone, begin to end; both from one directory of wheels, the same versions with their hashes",
)  # fmt: skip
ROWS = (INSTALL,)
_TASKS = """\
    - ansible.builtin.import_role:
        name: hpc.jupyter.jupyter_environment
"""
_VENV = ("-e", "jupyter_environment_kind=venv", "-e", f"jupyter_environment_wheelhouse={WHEELS}")
_PIP = f"""\
python3 -m venv ~/by-hand
exec ~/by-hand/bin/pip install -q --disable-pip-version-check --no-cache-dir --no-index --find-links {WHEELS} \
    --no-deps -r {TOOLS}/requirements.txt
"""
_SECONDS = 600


def measure(places: Places) -> Iterator[Result]:
    """Alternately with the role and with pip, each time from nothing."""
    desk = places.desk

    def ours() -> float:
        desk.clear(set_up=False)
        playbook = own_play(desk.person, _TASKS)
        desk.person.cli("login", "alice@lab")
        return desk.ended(desk.playbook(playbook, *_VENV), seconds=_SECONDS).seconds

    turns = Turns.of(places.settings.runs, ours=ours, pip=lambda: _pip(desk))
    yield Result(INSTALL, against(turns["ours"], turns["pip"]), medians(ours=turns["ours"], pip=turns["pip"]))
    desk.clear()


def _pip(desk: Desk) -> float:
    desk.clear(set_up=False)
    began = time.monotonic()
    desk.person.login.run(["sh", "-ec", _PIP], user="alice", timeout=_SECONDS)
    return time.monotonic() - began
