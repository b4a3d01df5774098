"""A password that changes while somebody is logged in with the old one, with a real JupyterLab."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import connection
from ansible_collections.hpc.jupyter.plugins.plugin_utils.password import make

from tests.jupyter_env import jupyter_python
from tests.session_site import Site

OLD, NEW = "the old password", "the new password"


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, jupyter_python())
    yield made
    made.close()


def _set(site: Site, password: str) -> None:
    """As the role does it."""
    config = {"PasswordIdentityProvider": {"hashed_password": make(password)}}
    Path(site.layout.server, "jupyter_server_config.json").write_text(json.dumps(config))


class Browser:
    """Keeps its cookies."""

    def __init__(self, site: Site) -> None:
        self._target = site.target()
        self._cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, **form: str) -> int:
        """The status of the answer."""
        asked = connection.Connection(self._target, timeout=20)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        body = urlencode(form) if form else None
        headers |= {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        asked.request(method, f"{self._target.base_url}{path}", body, headers)
        answer: http.client.HTTPResponse = asked.getresponse()
        for _name, value in (each for each in answer.getheaders() if each[0].lower() == "set-cookie"):
            name, _, content = value.partition(";")[0].partition("=")
            self._cookies[name] = content
        asked.close()
        return answer.status

    def log_in(self, password: str) -> bool:
        """By the page's form."""
        self.ask("GET", "login")
        self.ask("POST", "login", password=password, _xsrf=self._cookies["_xsrf"])
        return self.ask("GET", "api/status") == 200


@pytest.mark.rows("F47")
def test_whoever_logged_in_with_the_old_password_is_out(site: Site) -> None:
    _set(site, OLD)
    site.intend()
    site.job()
    site.ready()
    early = Browser(site)
    assert early.log_in(OLD)
    _set(site, NEW)
    assert site.command("restart").returncode == 0
    assert early.ask("GET", "api/status") == 403
    assert not Browser(site).log_in(OLD)
    assert Browser(site).log_in(NEW)
