"""The environments that a site or a person has already: modules, conda, a command; on an account of this machine.

environment-modules is the real one. conda cannot be had from PyPI or Debian, and a container runtime needs more than a
test may ask of a machine: both have stand-ins, which say so.
"""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.jupyter_env import jupyter_python
from tests.playbooks.plays import Home
from tests.session_site import PERSON

HERE = platform.node()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An account with a module that brings JupyterLab, one that brings none, and a stand-in for conda."""
    return _make_home(tmp_path)


def _make_home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.path.mkdir()
    modules = tmp_path / "modules/lab"
    modules.mkdir(parents=True)
    (modules / "jupyter").write_text(f"#%Module\nprepend-path PATH {jupyter_python().parent}\nsetenv LAB jupyter\n")
    (modules / "tools").write_text("#%Module\nsetenv TOOLS there\n")
    _stand_in_for_conda(tmp_path / "conda-stand-in", lab=jupyter_python(), bare=Path("/usr/bin/python3"))
    (tmp_path / "there").symlink_to(jupyter_python().parent.parent)
    _old_packages(tmp_path / "old")
    return made


def _old_packages(place: Path) -> None:
    """What makes Python say that it has a jupyter_server of two years ago."""
    metadata = place / "jupyter_server-2.17.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: jupyter-server\nVersion: 2.17.0\n")


def _stand_in_for_conda(root: Path, **pythons: Path) -> None:
    script = root / "etc/profile.d/conda.sh"
    script.parent.mkdir(parents=True)
    script.write_text(f"""conda() {{
    case $2 in */*) CONDA_PREFIX=$2 ;; *) CONDA_PREFIX={root}/envs/$2 ;; esac
    [ -d "$CONDA_PREFIX/conda-meta" ] || {{ echo "EnvironmentNameNotFound: $2" >&2; return 1; }}
    export CONDA_PREFIX PATH="$CONDA_PREFIX/bin:$PATH"
}}
""")
    for name, python in pythons.items():
        _program(root / "envs" / name / "bin/python", f'#!/bin/bash\nexec {python} "$@"\n')
        (root / "envs" / name / "conda-meta").mkdir()


def _program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def _kind(home: Home, kind: str, **more: object) -> dict[str, object]:
    modules = {"jupyter_environment_prologue": f"module use {home.path.parent}/modules"}
    return {"jupyter_environment_kind": kind, **modules, **{f"jupyter_environment_{key}": more[key] for key in more}}


def _thrice(home: Home, variables: dict[str, object]) -> None:
    """Check mode changes nothing, one run sets it up, the next has nothing to do."""
    ours = f"{home.path} ( -name .ansible -o -name __pycache__ ) -prune -o ! -type d -printf"
    listing = ["find", *ours.split(), r"%p %M %s %T@\n"]
    before = subprocess.run(listing, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout.strip()
    roles = [variables] * 3
    checked, applied, again = home.in_turn("jupyter_environment", *roles, show=shlex.join(listing), check=[0])
    assert checked.shown == before
    assert applied.changed == checked.changed > 0
    assert (again.changed, again.shown) == (0, applied.shown)


def _in_the_job(home: Home, *arguments: str) -> list[str]:
    """What the environment's Python prints when it is started as job.sh does."""
    script = 'words=("$@"); set --; . "$0"; [ -x "$HPC_JUPYTER_PYTHON" ] && "$HPC_JUPYTER_PYTHON" "${words[@]}"'
    done = subprocess.run(
        ["bash", "-l", "-c", script, str(home.root / "environment.sh"), *arguments], text=True, check=True,
        env={"HOME": str(home.path), "PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    return done.stdout.split()


SHOW = ("-c", "import os, jupyterlab; print(*(os.environ.get(name, '-') for name in ('LAB', 'TOOLS', 'CONDA_PREFIX')))")


def test_modules_bring_jupyter(home: Home) -> None:
    _thrice(home, _kind(home, "module", modules=["lab/tools", "lab/jupyter"], purge=True))
    assert _in_the_job(home, *SHOW) == ["jupyter", "there", "-"]


@pytest.mark.parametrize("by", ["name", "directory"])
def test_a_conda_stand_ins_environment_is_activated(home: Home, by: str) -> None:
    root = home.path.parent / "conda-stand-in"
    path = "lab" if by == "name" else f"{root}/envs/lab"
    _thrice(home, _kind(home, "conda", path=path, conda=str(root), modules=["lab/tools"]))
    assert _in_the_job(home, *SHOW) == ["-", "there", f"{root}/envs/lab"]


def test_an_existing_environment_has_its_modules_loaded_too(home: Home) -> None:
    prefix = str(jupyter_python().parent.parent)
    _thrice(home, _kind(home, "existing", path=prefix, modules=["lab/tools"]))
    assert _in_the_job(home, *SHOW) == ["-", "there", "-"]


def test_a_session_runs_behind_a_command(home: Home) -> None:
    """The stand-in for a container passes on little of the environment and waits for what it started."""
    passed = f'HOME={home.path} PATH=/usr/bin:/bin LAB=inside HPC_JUPYTER_JOB_PID="$HPC_JUPYTER_JOB_PID"'
    stand_in = _program(home.path.parent / "container stand-in", f'#!/bin/bash\nenv -i {passed} "$@" &\n'
                        'trap "kill -TERM $!" TERM\nwait\nwait\n')  # fmt: skip
    variables = _kind(home, "command", command=[str(stand_in)], python=str(jupyter_python()))
    _thrice(home, variables)
    assert _in_the_job(home, *SHOW) == ["inside", "-", "-"]
    assert home.role("jupyter_server").code == 0
    try:
        started = _session(home, "start", "--wait", "60")
        assert json.loads(_session(home, "status", "--json"))[0]["state"] == "ready", started
    finally:
        _session(home, "stop")
    assert json.loads(_session(home, "status", "--json"))[0]["state"] == "ended"


def _session(home: Home, *arguments: str) -> str:
    command = [*PERSON, str(home.path / ".local/bin/hpc-session"), *arguments]
    done = subprocess.run(command, env=home.environment(), capture_output=True, text=True, check=False, timeout=100)
    return done.stdout


_HOLES = "jupyter-server 2.17.0 has known holes, 2.21 is the first without. Update it, or have an environment made"
_WITH_OLD_PACKAGES = "module use ~/../modules\nexport PYTHONPATH=~/../old"
REFUSED: list[tuple[str, dict[str, object], str]] = [
    ("module", {"modules": ["lab/jupytre"]},
     f"the module lab/jupytre cannot be loaded on {HERE}: ERROR: Unable to locate a modulefile for 'lab/jupytre'"),
    ("module", {"modules": ["lab/jupyter"], "prologue": "unset -f module"},
     f"there is no module command on {HERE}, not even in a login shell. If the site has one, source what defines "
     "it in jupyter_environment_prologue"),
    ("module", {"modules": []}, "jupyter_environment_modules: is empty. Name the modules that bring jupyter"),
    ("conda", {"path": "lab", "conda": "/opt/no-conda"}, f"there is no conda at /opt/no-conda on {HERE}"),
    ("conda", {"path": "thesis", "conda": "~/../conda-stand-in"},
     f"the conda environment thesis cannot be activated on {HERE}: EnvironmentNameNotFound: thesis"),
    ("conda", {"path": "bare", "conda": "~/../conda-stand-in"},
     "no JupyterLab in the conda environment bare: jupyterlab cannot be imported (ModuleNotFoundError: "),
    ("command", {"command": ["no-such-runtime", "exec", "lab.sif"]}, f"there is no no-such-runtime on {HERE}"),
    ("existing", {"path": "~/../there", "prologue": _WITH_OLD_PACKAGES}, f"/there is too old: {_HOLES}"),
    ("module", {"modules": ["lab/jupyter"], "prologue": _WITH_OLD_PACKAGES},
     f"the JupyterLab in the module lab/jupyter is too old: {_HOLES}"),
    ("conda", {"path": "lab", "conda": "~/../conda-stand-in", "prologue": _WITH_OLD_PACKAGES},
     f"the JupyterLab in the conda environment lab is too old: {_HOLES}"),
    ("modul", {}, "jupyter_environment_kind: 'modul' is not one of venv, existing, module, conda, command. "
     "Did you mean module?"),
]  # fmt: skip


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What one run of Ansible says of each of them, none of which may leave a trace."""
    home = _make_home(tmp_path_factory.mktemp("refused"))
    said, _shown = home.refusals("jupyter_environment", *(_kind(home, kind, **more) for kind, more, _ in REFUSED))
    assert not (home.root / "environment.sh").exists()
    return said


@pytest.mark.rows("T23")
@pytest.mark.parametrize("number", range(len(REFUSED)), ids=[f"{kind}-{text[:40]}" for kind, _, text in REFUSED])
@pytest.mark.rows("F43")
def test_what_cannot_work_is_said_before_anything_changes(refusals: list[str], number: int) -> None:
    assert REFUSED[number][2] in refusals[number]
