"""Sessions that end by the clock, and what warns before: with a real JupyterLab."""

from __future__ import annotations

import glob
import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import probe, record

from tests.session_site import Site, wait_for
from tests.wheelhouse import ROOT

NOTICE = "hpc-jupyter/notice"


@pytest.fixture(name="ends", scope="module", autouse=True)
def _ends(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[tuple[Site, record.Record]]:
    """Sessions that end by themselves while other tests run, and the record of what takes the place of one.

    One takes a minute: no walltime is shorter.
    """
    made = Site(tmp_path_factory.mktemp("ends"), python)
    made.intend("idle", idle_seconds=8)
    made.intend("short", resources={"time": "0:01:00"})
    made.intend("old")
    made.intend("alone", race="0123456789abcdef", unclaimed_seconds=2)
    for name in ("idle", "short", "old", "alone"):
        made.job(name)
    for name in ("idle", "short", "old", "alone"):
        made.ready(name)
    made.intend("old", generation=2)
    yield made, made.record("old")
    made.close()
    assert not _left_over(made), "a directory was left on the node"


@pytest.fixture(name="up", scope="module")
def _up(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[Site]:
    """A session of half an hour that stays while several tests look at it."""
    made = Site(tmp_path_factory.mktemp("up"), python)
    made.intend(idle_seconds=3600, resources={"time": "0:30:00"}, warn_minutes=[60, 5])
    made.job()
    made.ready()
    yield made
    made.close()


def _left_over(site: Site) -> list[str]:
    markers = glob.glob("/tmp/hpcj-*/session")
    return [path for path in markers if str(site.layout.root) in Path(path).read_text()]


def _ask(site: Site, method: str, path: str, *, body: str = "", **headers: str) -> tuple[int, bytes]:
    target = site.target()
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(target.socket)
    with_token = {"Authorization": f"token {site.token()}", **headers}
    connection.request(method, target.base_url + path, body=body or None, headers=with_token)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def _times(site: Site, **headers: str) -> dict[str, Any]:
    status, body = _ask(site, "GET", NOTICE, **headers)
    assert status == 200, body
    told: dict[str, Any] = json.loads(body)
    return told


@pytest.mark.rows("F46")
def test_a_session_that_nobody_uses_says_so_and_ends(ends: tuple[Site, record.Record]) -> None:
    site, _newer = ends
    wait_for(lambda: site.record("idle").idle_since or site.record("idle").state == record.ENDED, seconds=60)
    wait_for(lambda: site.record("idle").state == record.ENDED, seconds=60)
    assert site.ended(site.running[0]) == 0
    now = site.record("idle")
    assert (now.how, now.reason, now.idle_since) == ("idle", "nobody used it for 8 seconds", "")
    assert "session idle ended (idle): nobody used it for 8 seconds" in site.log("idle")


def test_a_session_of_a_race_that_nobody_comes_for_ends(ends: tuple[Site, record.Record]) -> None:
    site, _newer = ends
    wait_for(lambda: site.record("alone").state == record.ENDED, seconds=60)
    now = site.record("alone")
    reason = "nobody came for it within less than a minute, and others were submitted beside it"
    assert (now.how, now.reason) == ("unclaimed", reason)


def test_every_page_has_the_script_and_files_have_not(up: Site) -> None:
    (up.home / "page.html").write_text("<html><head></head><body>a page of the person's own</body></html>")
    source = f'<script src="{up.record().base_url}{NOTICE}.js"></script>'.encode()
    for page in ("lab", "lab/tree/page.html", "doc/tree/page.html"):
        status, body = _ask(up, "GET", page)
        assert (status, body.count(source)) == (200, 1), page
    status, body = _ask(up, "GET", "files/page.html")
    assert (status, source in body, b"of the person's own" in body) == (200, False, True)


@pytest.mark.rows("T1", "T13")
def test_the_times_and_the_script_are_their_owner_s_alone(up: Site) -> None:
    for path in (NOTICE, f"{NOTICE}.js"):
        assert probe.get(up.target(), path).status == 403
        assert _ask(up, "GET", path)[0] == 200
        assert _ask(up, "GET", path, Host="evil.example.org")[0] == 403
    place = next(Path(up.record().socket).parent.glob("c/hpc_jupyter_notice"))
    assert {path.stat().st_mode & 0o077 for path in (place, *place.iterdir())} == {0}


def test_the_times_are_the_session_s(up: Site) -> None:
    told = _times(up)
    assert 1700 < told["ends_in"] <= 1800
    assert 3500 < told["idle_in"] <= 3600
    assert (told["warn_minutes"], told["idle_warn_minutes"]) == ([60, 5], [5])


def test_only_what_a_person_does_counts_as_use(up: Site) -> None:
    def used_when(*asked: str) -> float:
        """By how much later than at first the session was used last, after these requests."""
        before = _times(up)
        for path in asked:
            method, _space, rest = path.partition(" ")
            assert _ask(up, method, rest, body='{"type": "directory"}' if method == "PUT" else "")[0] < 300
        after = _times(up)
        passed = before["ends_in"] - after["ends_in"]
        return float(before["used_ago"] + passed - after["used_ago"])

    idle = used_when("GET api/kernels", "GET api/sessions", "GET api/contents", "GET api/status", "GET lab")
    assert idle == pytest.approx(0, abs=1e-3)
    assert used_when("PUT api/contents/made") > 0
    ago = _times(up)["used_ago"]
    assert _times(up, **{"X-Hpc-Jupyter-Used": "0"})["used_ago"] < ago + 0.05
    for nonsense in ("-1", "1e9", "\xb2", "99999"):
        before = _times(up)["used_ago"]
        assert _times(up, **{"X-Hpc-Jupyter-Used": nonsense})["used_ago"] >= before


@pytest.mark.rows("F20", "F25")
def test_pages_that_are_cut_off_have_all_output_once_and_in_order(up: Site, python: Path) -> None:
    argv = [str(python), str(ROOT / "tests/cutting.py"), up.target().socket, up.target().base_url]
    done = subprocess.run(argv, input=up.token(), stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    one, other = json.loads(done.stdout)
    assert one == other == [*map(str, range(400)), "end"]
    assert "lost to the page" not in up.log()


def test_a_page_that_cannot_warn_keeps_no_session_from_starting(tmp_path: Path, python: Path) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "hpc_jupyter_notice.py").write_text("raise RuntimeError('planted')\n")
    site = Site(tmp_path, python)
    try:
        site.intend()
        site.job(PYTHONPATH=str(tmp_path / "planted"))
        site.ready()
        wait_for(lambda: "no warnings in the page: Jupyter has not loaded the extension for them" in site.log())
        assert "hpc_jupyter_notice | error adding extension (enabled: True): " in site.log()
        assert probe.get(site.target(), "lab", token=site.token()).status == 200
    finally:
        site.close()


@pytest.mark.rows("F9")
def test_a_session_whose_time_is_over_is_ended(ends: tuple[Site, record.Record]) -> None:
    site, _newer = ends
    assert site.ended(site.running[1], seconds=100) == 0
    short = site.record("short")
    assert short.ends_at > short.started_at
    assert (short.how, short.reason) == ("time limit", "the session's time of 0:01:00 is over")


def test_a_supervisor_that_was_superseded_while_it_ran_leaves_the_new_record_alone(
    ends: tuple[Site, record.Record],
) -> None:
    site, newer = ends
    assert site.ended(site.running[2]) == 0
    assert "a newer session has taken this one's place; its record is left alone" in site.log("old")
    assert site.record("old") == newer
