"""The browser gets the token through a private file."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hpc_jupyter import browser
from tests.cli.conftest import mode

URL = "http://127.0.0.1:20123/0123/lab?token=canary&x=\"'<y>"


@pytest.fixture
def fake_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A browser that notes what it was started with, and keeps the page."""
    script = tmp_path / "browser"
    noted = f'echo "$@" > {tmp_path}/args\nps -eo args > {tmp_path}/ps\ncp "${{1#file://}}" {tmp_path}/page\n'
    script.write_text(f"#!/bin/sh\n{noted}")
    script.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(script))
    return tmp_path


@pytest.mark.rows("T11")
def test_the_token_is_in_a_private_file_and_on_no_command_line(fake_browser: Path) -> None:
    directory = fake_browser / "state"
    directory.mkdir(mode=0o700)
    assert browser.show(URL, directory=directory, session="default")
    _await(fake_browser / "page")
    [page] = directory.iterdir()
    assert mode(page) == "600"
    assert (fake_browser / "args").read_text() == f"file://{page}\n"
    assert "canary" not in (fake_browser / "ps").read_text()
    url = "http://127.0.0.1:20123/0123/lab?token=canary&amp;x=&quot;&#x27;&lt;y&gt;"
    assert f'<meta http-equiv="refresh" content="0; url={url}">' in page.read_text()


def _await(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)


def test_the_file_goes_when_the_browser_has_had_its_time(fake_browser: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "_KEEP_SECONDS", 0.2)
    assert browser.show(URL, directory=fake_browser, session="default")
    deadline = time.monotonic() + 10
    while list(fake_browser.glob("open-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(fake_browser.glob("open-*")) == []


def test_a_browser_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER", "/bin/false")
    assert not browser.show(URL, directory=tmp_path, session="default")
    assert list(tmp_path.iterdir()) == []


def test_in_wsl_the_browser_of_windows_gets_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows cannot be had here: stand-ins for its two programs note what they are given."""
    for name, body in {
        "wslpath": r"""printf '%s%s\n' '\\wsl.localhost\Debian' "$2" """,
        "explorer.exe": f'printf "%s\\n" "$@" > {tmp_path}/args; exit 1',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.delenv("BROWSER", raising=False)
    monkeypatch.setenv("WSL_DISTRO_NAME", "Debian")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert browser.show(URL, directory=tmp_path, session="default")
    _await(tmp_path / "args")
    [page] = tmp_path.glob("open-*.html")
    assert (tmp_path / "args").read_text() == f"\\\\wsl.localhost\\Debian{page}\n"


@pytest.mark.parametrize(
    ("environment", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
        ({"WSL_DISTRO_NAME": "Debian"}, "linux", True),
    ],
)
def test_a_browser_is_expected_where_there_is_a_screen(environment: dict[str, str], platform: str, there: bool) -> None:
    assert browser.is_there(environment, platform=platform) is there
