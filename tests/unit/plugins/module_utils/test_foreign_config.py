# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import site
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import foreign_config, server
from ansible_collections.hpc.jupyter.plugins.module_utils.jupyter import CannotStart

REMEDY = "Take that out, or set another environment up (playbook hpc.jupyter.setup)"
OF_THE_MACHINE = "Every Jupyter of this machine reads that file: ask its administrators to take that out"
GOOD = "argon2:$argon2id$v=19$m=10240,t=10,p=8$c29tZXNhbHRzb21l$" + "A" * 43


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("jupyter_server_config.json", '{"ServerApp": {"cookie_secret": "known"}}',
         "sets ServerApp.cookie_secret, the key that signs login cookies, which has to be a session's own"),
        ("jupyter_lab_config.py", "c = get_config()\nif True:\n    c.ServerApp.cookie_secret = b'known'\n",
         "sets ServerApp.cookie_secret, the key that signs login cookies, which has to be a session's own"),
        ("jupyter_config.py", "c.IdentityProvider.token = ''\n",
         "sets IdentityProvider.token, where every session has a token of its own"),
        ("jupyter_notebook_config.py", "import os\nc.NotebookApp.token = os.environ['X']\n",
         "sets NotebookApp.token, where every session has a token of its own"),
        ("jupyter_server_config.d/site.json", '{"ServerApp": {"tornado_settings": {"xsrf_cookies": false}}}',
         "sets ServerApp.tornado_settings, with xsrf_cookies, which goes past our own settings"),
        ("jupyter_server_config.py", "c.ServerApp.password = 'sha1:aa:bb'\n",
         "sets ServerApp.password, and it is no argon2id hash: what opens sessions would be guessed"),
    ],
)  # fmt: skip
def test_what_would_open_a_session_is_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    found = foreign_config.settings([str(tmp_path)])
    assert foreign_config.problems(found) == [f"{path} {problem}. {REMEDY}"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jupyter_server_config.json", '{"ServerApp": {"jpserver_extensions": {"jupyterlab": true}}}'),
        ("jupyter_server_config.json", f'{{"PasswordIdentityProvider": {{"hashed_password": "{GOOD}"}}}}'),
        ("jupyter_server_config.json", '{"ServerApp": {"tornado_settings": {"headers": {}}, "password": ""}}'),
        ("jupyter_server_config.json", '{"ServerApp": '),
        ("jupyter_server_config.json", "[1, 2]"),
        ("jupyter_server_config.py", "c.ServerApp.token = \n"),
        ("jupyter_server_config.py", "c.ServerApp.password = passwd('secret')\nx.y = 1\n"),
        ("jupyter_server_config.toml", "[ServerApp]\ntoken = ''\n"),
        ("other.json", '{"ServerApp": {"token": ""}}'),
    ],
)
def test_what_is_harmless_or_not_read_is_no_problem(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert foreign_config.problems(foreign_config.settings([str(tmp_path), "/nowhere"])) == []


@pytest.mark.parametrize(("place", "remedy"), [
    ("/etc/jupyter", OF_THE_MACHINE),
    ("/usr/local/etc/jupyter", OF_THE_MACHINE),
    ("/home/alice/.local/etc/jupyter", "Every Jupyter of yours reads that file: take that out of it"),
    ("/opt/env/etc/jupyter", REMEDY),
])
def test_another_environment_is_advised_where_it_helps(
    monkeypatch: pytest.MonkeyPatch, place: str, remedy: str
) -> None:
    monkeypatch.setattr(site, "getuserbase", lambda: "/home/alice/.local")
    found = foreign_config.Setting(f"{place}/jupyter_config.json", "ServerApp", "cookie_secret")
    assert foreign_config.problems([found]) == [
        f"{place}/jupyter_config.json sets ServerApp.cookie_secret, the key that signs login cookies, which has to be "
        f"a session's own. {remedy}"
    ]


def test_what_the_command_line_makes_void_is_said(tmp_path: Path) -> None:
    path = tmp_path / "jupyter_server_config.json"
    path.write_text('{"ServerApp": {"allow_origin": "*", "max_body_size": 1}}')
    found = foreign_config.settings([str(tmp_path)])
    assert foreign_config.unheeded(found, settled=["ServerApp.allow_origin", "ServerApp.ip"]) == [
        f"{path} sets ServerApp.allow_origin; sessions do not heed it"
    ]


def test_the_environment_s_and_the_machine_s_places_are_looked_at() -> None:
    assert foreign_config.directories()[-2:] == ["/usr/local/etc/jupyter", "/etc/jupyter"]
    assert len(foreign_config.directories()) in (3, 4)


def test_the_job_refuses_the_one_and_says_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(foreign_config, "directories", lambda: [str(tmp_path)])
    path = tmp_path / "jupyter_server_config.json"
    path.write_text('{"ServerApp": {"allow_origin": "*"}}')
    server._check_foreign_config()
    assert capsys.readouterr().out == f"hpc-jupyter: {path} sets ServerApp.allow_origin; sessions do not heed it\n"
    path.write_text('{"ServerApp": {"cookie_secret": "known"}}')
    with pytest.raises(CannotStart, match=r"sets ServerApp\.cookie_secret, the key that signs login cookies"):
        server._check_foreign_config()
