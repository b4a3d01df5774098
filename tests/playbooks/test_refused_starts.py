"""What keeps a job from starting Jupyter, or from leaving it up: said in one sentence, and nothing stays behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import node, record

from tests.session_site import Site, processes_of, wait_for


def _fails(site: Site, prefix: list[str] | None = None) -> str:
    return _failed(site, site.job(prefix=prefix))


def _failed(site: Site, job: subprocess.Popen[bytes]) -> str:
    assert site.ended(job) == 1
    now = site.record()
    assert (now.state, now.how) == (record.ENDED, "failed")
    assert "Traceback" not in now.reason
    assert "\n" not in now.reason
    return now.reason


@pytest.mark.rows("T13", "T25")
@pytest.mark.parametrize(("content", "words"), [
    ('{"ServerApp": ', "jupyter_server_config.json is not valid JSON ("),
    ('{"IdentityProvider": {"hashed_password": "secret"}}', "IdentityProvider.hashed_password is not a hash"),
    ('{"IdentityProvider": {"token": ""}}', "Jupyter lets people in without a token, so it was shut down"),
    ('{"IdentityProvider": {"token": "another"}}', "Jupyter does not accept the session's token"),
    ('{"ServerApp": {"tornado_settings": {"disable_check_xsrf": true}}}', "takes requests forged by another page"),
    ('{"ServerApp": {"tornado_settings": {"allow_remote_access": true}}}', "takes requests made out to another host"),
    ('{"ServerApp": {"max_body_size": "many"}}', "Jupyter ended with exit code 1 before it answered: [C "),
])
@pytest.mark.rows("F16")
def test_a_configuration_that_opens_or_breaks_the_server_is_refused(site: Site, content: str, words: str) -> None:
    site.intend()
    Path(site.layout.server, "jupyter_server_config.json").write_text(content)
    assert words in _fails(site)


def test_the_log_s_own_words_say_why_jupyter_died(site: Site) -> None:
    site.intend()
    Path(site.layout.server, "jupyter_server_config.json").write_text('{"ServerApp": {"max_body_size": "many"}}')
    assert "The 'max_body_size' trait of a ServerApp instance expected an int" in _fails(site)


@pytest.mark.rows("F13")
def test_a_jupyter_that_lives_and_listens_on_nothing_is_ended(site: Site) -> None:
    site.intend(startup_seconds=12)
    hangs = "import time\nprint('hangs', flush=True)\ntime.sleep(60)\n"
    Path(site.layout.server, "jupyter_server_config.py").write_text(hangs)
    job = site.job()
    wait_for(lambda: site.record().socket)
    now = site.record()
    assert (now.state, now.offer, Path(now.socket).name, now.host_keys) == ("starting", "socket", "s", node.host_keys())
    assert _failed(site, job) == "Jupyter did not answer within 12 seconds (nothing listens): hangs"
    assert site.record().socket == ""
    assert "jupyterlab --no-browser" not in " ".join(process.command for process in processes_of(site.layout.root))


@pytest.mark.rows("T4")
@pytest.mark.parametrize("size", [0, 31])
def test_a_short_cookie_secret_is_refused(site: Site, size: int) -> None:
    site.intend()
    Path(site.files().cookie_secret).write_bytes(b"x" * size)
    assert f"has {size} bytes, at least 32 are needed: is the disk or the quota full?" in _fails(site)


@pytest.mark.rows("T4")
def test_an_empty_token_is_refused(site: Site) -> None:
    site.intend()
    Path(site.files().token).write_bytes(b"")
    assert "the token in " in _fails(site)


def test_a_python_without_jupyterlab_is_named(site: Site) -> None:
    site.intend()
    Path(site.layout.environment_script).write_text("export HPC_JUPYTER_PYTHON=/usr/bin/python3\n")
    assert _fails(site).startswith("no JupyterLab in /usr/bin/python3: install it there, or set another environment up")


@pytest.mark.rows("T23")
def test_packages_with_known_holes_are_refused_at_every_start(site: Site) -> None:
    """The environment may have changed since it was set up, as a site's module does overnight."""
    site.intend()
    metadata = site.home / "old" / "tornado-6.4.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: tornado\nVersion: 6.4\n")
    script = Path(site.layout.environment_script)
    script.write_text(f"{script.read_text()}export PYTHONPATH={site.home}/old\n")
    assert "is too old: tornado 6.4 has known holes, 6.5.8 is the first without. Update it, or" in _fails(site)


def test_a_directory_that_is_not_there_is_named(site: Site) -> None:
    site.intend(directory="~/gone")
    assert _fails(site) == f"directory: {site.home}/gone is not a directory on this node"


@pytest.mark.rows("T26")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_refused_on_a_cluster(site: Site) -> None:
    site.intend()
    assert _fails(site, prefix=[]) == "refused to run as root: log in to the cluster with an account of your own"
