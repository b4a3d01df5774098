# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Jupyter is started: its arguments, its environment, and what is checked before.

Everything that keeps others out is on the command line, which wins over every configuration file: Jupyter ignores a
broken file and starts with its defaults. Secrets are in files only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from dataclasses import dataclass
from importlib import metadata
from typing import Mapping

from ansible_collections.hpc.jupyter.plugins.module_utils import floors, interfaces
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.module_utils.layout import SessionFiles

COOKIE_SECRET_BYTES = 32
"""The least that Jupyter's login cookies may be signed with; an empty secret makes them forgeable."""

_HASH = re.compile(r"argon2:\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}")
_HASH_KEYS = (
    ("IdentityProvider", "hashed_password"),
    ("PasswordIdentityProvider", "hashed_password"),
    ("ServerApp", "password"),
    ("NotebookApp", "password"),
)
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{32,}")
_BASE_URL = re.compile(r"(?:/[A-Za-z0-9_-]+)+/")
_KEPT = ("JUPYTER_PATH", "JUPYTER_DATA_DIR", "JUPYTER_PLATFORM_DIRS", "JUPYTER_PREFER_ENV_PATH")
"""Where the person's kernels and extensions are; every other ``JUPYTER_*`` setting is ours to make."""
_DROPPED = ("XDG_RUNTIME_DIR", "SLURM_EXPORT_ENV", "SBATCH_EXPORT", "JPY_PARENT_PID", "JPY_SESSION_NAME",
            "HPC_JUPYTER_JOB_PID")
"""A directory of another host; what makes ``srun`` in a notebook lose its environment; what an outer job left."""


class CannotStart(HpcJupyterError):
    """Jupyter cannot be started, or did not come up; the text is the record's reason."""


@dataclass(frozen=True)
class Start:
    """What Jupyter is started with; ``socket`` is empty where it listens on ``port`` of ``address``, 0 for a free one.

    With ``certificate`` and its ``key``, two files, it speaks https.
    """

    python: str
    directory: str
    base_url: str
    cookie_secret: str
    socket: str = ""
    address: str = "127.0.0.1"
    port: int = 0
    certificate: str = ""
    key: str = ""
    idle_seconds: int = 0
    allow_root: bool = False
    interface: str = interfaces.LAB


def argv(start: Start) -> list[str]:
    """Jupyter's argument list."""
    settings = {**_address(start), **_doors(start), **_manners(), **_idle(start.idle_seconds)}
    flags = ["--allow-root"] if start.allow_root else []
    options = [f"--{name}={value}" for name, value in settings.items()]
    return [start.python, *_begin(interfaces.INTERFACES[start.interface].module), "--no-browser", *flags, *options]


_QUICKLY = (
    "import gc, os, runpy, sys; gc.disable(); sys.path[0] = os.getcwd(); path = os.environ.get('PATH', os.defpath); "
    "import jupyterlab.commands; os.environ['PATH'] = os.devnull; import jupyterlab.labapp; os.environ['PATH'] = path; "
    "gc.freeze(); gc.enable(); runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)
"""As ``-m``. Where PATH has a node, JupyterLab runs yarn whenever it is loaded, which is half of its start: to learn
where builds, which nobody makes here, would get their packages from. Looking again and again whether anything of what
is loaded has become garbage takes a tenth of the rest."""


def _begin(module: str) -> list[str]:
    """How Python starts ``module``."""
    return ["-m", module] if module == "nbclassic" else ["-c", _QUICKLY, module]


def _address(start: Start) -> dict[str, object]:
    if start.socket:
        return {"ServerApp.sock": start.socket, "ServerApp.sock_mode": "0600"}
    return {"ServerApp.ip": start.address, "ServerApp.port": start.port, "ServerApp.port_retries": 0}


def _doors(start: Start) -> dict[str, object]:
    """Who gets in, stated in full so that no file of the machine's or the person's can open another way."""
    return {
        "ServerApp.base_url": start.base_url,
        "ServerApp.cookie_secret_file": start.cookie_secret,
        "ServerApp.identity_provider_class": "jupyter_server.auth.identity.PasswordIdentityProvider",
        "ServerApp.allow_unauthenticated_access": False,
        "ServerApp.allow_remote_access": False,
        "ServerApp.local_hostnames": "localhost",
        "ServerApp.allow_origin": "",
        "ServerApp.allow_origin_pat": "",
        "ServerApp.allow_credentials": False,
        "ServerApp.disable_check_xsrf": False,
        "ServerApp.authenticate_prometheus": True,
        "ServerApp.trust_xheaders": False,
        "ServerApp.certfile": start.certificate,
        "ServerApp.keyfile": start.key,
        "PasswordIdentityProvider.allow_password_change": False,
        # Anyone on the node can connect to a kernel's TCP ports and read what it prints.
        "KernelManager.transport": "ipc",
        # The class that the server uses: a file that names it would win over what is said of its ancestor.
        "ServerKernelManager.transport": "ipc",
        "ServerApp.root_dir": start.directory,
    }


SETTLED = ("ServerApp.ip", "ServerApp.port", "ServerApp.sock", *_doors(Start("", "", "", "")))
"""Settings that are on the command line whatever is started; a file that makes them is not heeded."""


def _manners() -> dict[str, object]:
    """No browser on the node, no calls to the outside."""
    return {
        "ServerApp.open_browser": False,
        "ServerApp.use_redirect_file": False,
        "LabApp.extension_manager": "readonly",
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }


def _idle(seconds: int) -> dict[str, object]:
    """An open tab alone does not count as use: a kernel that runs nothing for that long is ended, then the server."""
    if not seconds:
        return {}
    interval = max(1, min(60, seconds // 4))
    return {
        "ServerApp.shutdown_no_activity_timeout": seconds,
        "MappingKernelManager.cull_idle_timeout": seconds,
        "MappingKernelManager.cull_interval": interval,
        "MappingKernelManager.cull_connected": True,
        "TerminalManager.cull_inactive_timeout": seconds,
        "TerminalManager.cull_interval": interval,
    }


def environment(
    inherited: Mapping[str, str], *, server: str, config: str, runtime: str, token: str, home: str, data: str = ""
) -> dict[str, str]:
    """Jupyter's environment: our configuration, the person's own lab settings, and the token as a file's name.

    ``data`` is a directory whose ``kernels`` are offered beside all others.
    """
    kept = {
        name: value for name, value in inherited.items()
        if name not in _DROPPED and (name in _KEPT or not name.startswith(("JUPYTER_", "JUPYTERHUB_")))
    }
    own = os.path.join(inherited.get("JUPYTER_CONFIG_DIR") or os.path.join(home, ".jupyter"), "lab")
    kept.setdefault("JUPYTERLAB_SETTINGS_DIR", os.path.join(own, "user-settings"))
    kept.setdefault("JUPYTERLAB_WORKSPACES_DIR", os.path.join(own, "workspaces"))
    paths = {"JUPYTER_CONFIG_DIR": server, "JUPYTER_CONFIG_PATH": config, "JUPYTER_RUNTIME_DIR": runtime}
    if data:
        paths["JUPYTER_PATH"] = os.pathsep.join([data, *filter(None, [kept.get("JUPYTER_PATH")])])
    return {**kept, **paths, "JUPYTER_TOKEN_FILE": token}


def check_installed(python: str, interface: str = interfaces.LAB, *, allow_old: bool = False) -> None:
    """Raise ``CannotStart`` if this very Python has not what ``interface`` needs, or has it with known holes."""
    wanted = interfaces.INTERFACES[interface]
    try:
        found = importlib.util.find_spec(wanted.module) is not None
    except (ImportError, ValueError):
        found = False
    if found:
        _check_generation(python, interface)
        _check_floors(python, interface, allow_old=allow_old)
        return
    if interface == interfaces.LAB:
        raise CannotStart(
            f"no JupyterLab in {python}: install it there, or set another environment up (playbook hpc.jupyter.setup)"
        )
    raise CannotStart(
        f"{python} has no {wanted.package}, which the interface {interface} needs: set "
        f"jupyter_environment_packages: [{wanted.package}] and run the playbook hpc.jupyter.setup, or install it there"
    )


def _check_generation(python: str, interface: str) -> None:
    """Notebook 6 is a server of its own: it heeds none of our settings and listens where it likes."""
    if interface == "notebook" and 0 < _notebook_major() < 7:
        raise CannotStart(
            f"{python} has Notebook {metadata.version('notebook')}, and the interface notebook needs 7 or later: use "
            "the interface lab or nbclassic, or set another environment up (playbook hpc.jupyter.setup)"
        )


def _check_floors(python: str, interface: str, *, allow_old: bool) -> None:
    """What is below them would let others in, whatever we set."""
    wanted = {**floors.FLOORS, **{name: floor for name, floor in floors.INTERFACES.items() if name == interface}}
    old = floors.below(floors.installed(list(wanted)), wanted)
    if old and not allow_old:
        raise CannotStart(f"{python} is too old: {'; '.join(old)}. {floors.REMEDY}")


def page(interface: str) -> str:
    """The record's ``page``: the classic notebook leaves its usual place to Notebook 7 if that is there too."""
    beside = interface == "nbclassic" and _notebook_major() >= 7
    return interfaces.CLASSIC_BESIDE_NOTEBOOK if beside else ""


def _notebook_major() -> int:
    """0 where there is none, or one that does not say."""
    try:
        return int(metadata.version("notebook").split(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        return 0


def check_secrets(files: SessionFiles) -> str:
    """The session's token, once it and the cookie secret are known to be whole; a full disk leaves them empty."""
    size = len(_secret(files.cookie_secret, "cookie secret"))
    if size < COOKIE_SECRET_BYTES:
        raise CannotStart(
            f"the cookie secret {files.cookie_secret} has {size} bytes, at least {COOKIE_SECRET_BYTES} are needed: "
            "is the disk or the quota full? Launch the session again"
        )
    token = _secret(files.token, "token")
    if _TOKEN.fullmatch(token) is None:
        raise CannotStart(f"the token in {files.token} is not whole: is the disk or the quota full? Launch again")
    return token.decode("ascii")


def _secret(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise CannotStart(f"the session's {what} cannot be read: {path}: {error.strerror}. Launch again") from error


def check_base_url(value: str) -> str:
    """A path of its own, so that cookies of servers on other ports of the same computer do not mix."""
    if _BASE_URL.fullmatch(value) is None:
        raise CannotStart(f"the record's base_url {value!r} is not a path such as /0123abcd/. Launch again")
    return value


def check_config(directory: str) -> None:
    """Raise ``CannotStart`` for a configuration that Jupyter would ignore, or a password hash that it cannot verify."""
    path = os.path.join(directory, "jupyter_server_config.json")
    try:
        with open(path, "rb") as stream:
            config = json.loads(stream.read().decode("utf-8"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotStart(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CannotStart(f"{path} is not valid JSON ({error}): set the account up again") from error
    for section, key in _HASH_KEYS:
        _check_hash(path, config, section=section, key=key)


def _check_hash(path: str, config: object, *, section: str, key: str) -> None:
    values = config.get(section, {}) if isinstance(config, dict) else None
    if not isinstance(values, dict):
        raise CannotStart(f"{path} is not a Jupyter configuration: set the account up again")
    value = values.get(key, "")
    if value != "" and (not isinstance(value, str) or _HASH.fullmatch(value) is None):
        raise CannotStart(
            f"{path}: {section}.{key} is not a hash that Jupyter can verify (argon2:$argon2id$...): "
            "set the password again (playbook hpc.jupyter.setup)"
        )
