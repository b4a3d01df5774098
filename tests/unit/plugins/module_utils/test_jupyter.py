# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import jupyter
from ansible_collections.hpc.jupyter.plugins.module_utils.jupyter import CannotStart
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles

_START = jupyter.Start(
    python="/env/bin/python", directory="/home/me", base_url="/0123456789abcdef/", cookie_secret="/s/cookie_secret",
    socket="/tmp/hpcj-x/s",
)
_HASH = "argon2:$argon2id$v=19$m=10240,t=10,p=8$c29tZXNhbHRzb21l$" + "A" * 43


def _settings(start: jupyter.Start) -> dict[str, str]:
    options = [word[2:].split("=", 1) for word in jupyter.argv(start) if word.startswith("--") and "=" in word]
    return {option[0]: option[1] for option in options}


@pytest.mark.parametrize(("setting", "value"), [
    ("ServerApp.sock", "/tmp/hpcj-x/s"),
    ("ServerApp.sock_mode", "0600"),
    ("ServerApp.base_url", "/0123456789abcdef/"),
    ("ServerApp.root_dir", "/home/me"),
    ("ServerApp.cookie_secret_file", "/s/cookie_secret"),
    ("ServerApp.allow_unauthenticated_access", "False"),
    ("ServerApp.allow_remote_access", "False"),
    ("ServerApp.allow_origin", ""),
    ("ServerApp.disable_check_xsrf", "False"),
    ("ServerApp.open_browser", "False"),
    ("ServerApp.use_redirect_file", "False"),
    ("KernelManager.transport", "ipc"),
    ("ServerKernelManager.transport", "ipc"),
    ("ServerApp.local_hostnames", "localhost"),
    ("PasswordIdentityProvider.allow_password_change", "False"),
    ("LabApp.extension_manager", "readonly"),
    ("LabApp.news_url", "None"),
    ("LabApp.check_for_updates_class", "jupyterlab.NeverCheckForUpdate"),
])
def test_critical_settings_are_on_the_command_line(setting: str, value: str) -> None:
    assert _settings(_START)[setting] == value


def test_jupyterlab_is_run_by_the_environment_s_python_and_never_as_root_unless_told() -> None:
    assert jupyter.argv(_START)[0] == "/env/bin/python"
    assert jupyter.argv(_START)[3:5] == ["jupyterlab", "--no-browser"]
    assert jupyter.argv(replace(_START, interface="nbclassic"))[1:3] == ["-m", "nbclassic"]
    assert "--allow-root" not in jupyter.argv(_START)
    assert "--allow-root" in jupyter.argv(replace(_START, allow_root=True))


def test_without_a_socket_it_listens_on_one_free_port_of_loopback() -> None:
    settings = _settings(replace(_START, socket=""))
    address = {name: settings.get(f"ServerApp.{name}") for name in ("ip", "port", "port_retries", "sock")}
    assert address == {"ip": "127.0.0.1", "port": "0", "port_retries": "0", "sock": None}


@pytest.mark.parametrize(("seconds", "interval"), [(1, "1"), (60, "15"), (3600, "60")])
def test_idleness_ends_kernels_terminals_and_the_server(seconds: int, interval: str) -> None:
    settings = _settings(replace(_START, idle_seconds=seconds))
    timeouts = ("ServerApp.shutdown_no_activity_timeout", "MappingKernelManager.cull_idle_timeout",
                "TerminalManager.cull_inactive_timeout")
    assert [settings[name] for name in timeouts] == [str(seconds)] * 3
    assert settings["MappingKernelManager.cull_interval"] == interval


def test_nothing_is_ended_for_idleness_unless_asked() -> None:
    assert not [name for name in _settings(_START) if "cull" in name or "no_activity" in name]


def _environment(**inherited: str) -> dict[str, str]:
    places = {"server": "/r/server", "config": "/n/c", "runtime": "/n/r"}
    return jupyter.environment(inherited, **places, token="/s/token", home="/home/me")


def test_what_an_outer_jupyter_or_login_left_does_not_reach_jupyter() -> None:
    dropped = ("JUPYTER_TOKEN", "JUPYTER_ALLOW_INSECURE_WRITES", "JUPYTER_NO_CONFIG",
               "JUPYTERHUB_API_TOKEN", "XDG_RUNTIME_DIR", "SLURM_EXPORT_ENV", "JPY_PARENT_PID", "HPC_JUPYTER_JOB_PID")
    assert not set(_environment(**dict.fromkeys(dropped, "x"))) & set(dropped)


def test_where_the_person_s_kernels_are_and_everything_else_stays() -> None:
    kept = {"JUPYTER_PATH": "/k", "JUPYTERLAB_DIR": "/l", "PATH": "/bin", "SLURM_JOB_ID": "1", "PYTHONPATH": "/m"}
    assert kept.items() <= _environment(**kept).items()


def test_configuration_runtime_and_token_are_ours() -> None:
    ours = {
        "JUPYTER_CONFIG_DIR": "/r/server", "JUPYTER_CONFIG_PATH": "/n/c", "JUPYTER_RUNTIME_DIR": "/n/r",
        "JUPYTER_TOKEN_FILE": "/s/token",
    }
    assert ours.items() <= _environment(**dict.fromkeys(ours, "/mine")).items()


@pytest.mark.parametrize(("inherited", "settings"), [
    ({}, "/home/me/.jupyter/lab/user-settings"),
    ({"JUPYTER_CONFIG_DIR": "/mine"}, "/mine/lab/user-settings"),
    ({"JUPYTER_CONFIG_DIR": "/mine", "JUPYTERLAB_SETTINGS_DIR": "/s"}, "/s"),
])
def test_lab_settings_stay_where_the_person_has_them(inherited: dict[str, str], settings: str) -> None:
    assert _environment(**inherited)["JUPYTERLAB_SETTINGS_DIR"] == settings


@pytest.mark.parametrize("config", [
    {}, {"IdentityProvider": {"hashed_password": _HASH}}, {"PasswordIdentityProvider": {"hashed_password": ""}},
])
def test_a_sound_configuration_is_accepted(tmp_path: Path, config: dict[str, object]) -> None:
    (tmp_path / "jupyter_server_config.json").write_text(json.dumps(config))
    jupyter.check_config(str(tmp_path))


def test_no_configuration_is_fine(tmp_path: Path) -> None:
    jupyter.check_config(str(tmp_path))


@pytest.mark.parametrize("value", [
    "argon2:garbage", _HASH[len("argon2:"):], _HASH + "\n", _HASH[:-30], "plain", "sha1:0123456789ab:" + "0" * 40, 7,
    None, "argon2:$argon2i$v=19$m=10240,t=10,p=8$c29tZXNhbHRzb21l$" + "A" * 43,
])
@pytest.mark.parametrize("section", ["IdentityProvider", "PasswordIdentityProvider"])
def test_a_hash_that_jupyter_cannot_verify_is_refused(tmp_path: Path, section: str, value: object) -> None:
    path = tmp_path / "jupyter_server_config.json"
    path.write_text(json.dumps({section: {"hashed_password": value}}))
    with pytest.raises(CannotStart) as raised:
        jupyter.check_config(str(tmp_path))
    assert str(raised.value) == (
        f"{path}: {section}.hashed_password is not a hash that Jupyter can verify (argon2:$argon2id$...): "
        "set the password again (playbook hpc.jupyter.setup)"
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"IdentityProvider": 1}', "\xff"])
def test_a_broken_configuration_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "jupyter_server_config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(CannotStart, match="set the account up again"):
        jupyter.check_config(str(tmp_path))


@pytest.mark.parametrize("token", [b"", b"short", b"x" * 43 + b"\n", b"with space" * 5])
def test_a_token_that_is_not_whole_is_refused(tmp_path: Path, token: bytes) -> None:
    (tmp_path / "cookie_secret").write_bytes(b"x" * 64)
    (tmp_path / "token").write_bytes(token)
    with pytest.raises(CannotStart, match="is not whole"):
        jupyter.check_secrets(SessionFiles(str(tmp_path)))


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart) as raised:
        jupyter.check_secrets(SessionFiles(str(tmp_path)))
    words = f"the session's cookie secret cannot be read: {tmp_path}/cookie_secret: No such file or directory"
    assert str(raised.value) == f"{words}. Launch again"


@pytest.mark.parametrize("value", ["", "/", "//x/", "/x", "x/", "/../x/", "/a b/", "/%2e/"])
def test_a_base_url_that_is_no_path_of_its_own_is_refused(value: str) -> None:
    with pytest.raises(CannotStart, match="base_url"):
        jupyter.check_base_url(value)


@pytest.mark.parametrize(("interface", "allow_old", "words"), [
    ("lab", False, "/p is too old: tornado 6.4 has known holes, 6.5.8 is the first without. Update it, or have an"),
    ("notebook", False, "; notebook 7.2.0 has known holes, 7.5.6 is the first without. Update it"),
    ("notebook", True, ""),
])
def test_packages_with_known_holes_are_refused_unless_somebody_decided(
    monkeypatch: pytest.MonkeyPatch, interface: str, allow_old: bool, words: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(metadata, "version", {
        "jupyter-server": "2.21.1", "jupyterlab": "4.6.6", "tornado": "6.4", "notebook": "7.2.0",
        "jupyter-server-proxy": "4.4.0",
    }.__getitem__)
    if allow_old:
        jupyter.check_installed("/p", interface, allow_old=True)
        return
    with pytest.raises(CannotStart) as caught:
        jupyter.check_installed("/p", interface)
    assert words in str(caught.value)
    assert str(caught.value).endswith("jupyter_environment_allow_old: true. Then run the playbook hpc.jupyter.setup")
