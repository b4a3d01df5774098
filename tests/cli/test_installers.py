"""What installs packages on an account: the real uv and the real pip, from wheels, without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import installers, packages
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import HpcJupyterError

from tests.wheelhouse import wheelhouse

PYTHON = "/usr/bin/python3"
FEW = ("idna", "traitlets")
MACHINE = os.uname().machine


@pytest.fixture(autouse=True)
def _plain_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uv, and without what this machine tells pip."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    installers.bundled_pip.cache_clear()


def _wheels(place: Path, *names: str) -> dict[str, str]:
    """Put the wheels of ``names`` into ``place``; the lines of a lock by name."""
    place.mkdir()
    lines = {}
    for name in names:
        [wheel] = wheelhouse(PYTHON).glob(f"{name}-*.whl")
        shutil.copy(wheel, place)
        lines[name] = f"{name}=={wheel.name.split('-')[1]} --hash=sha256:{_sha256(wheel)}\n"
    return lines


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _target(tmp_path: Path, lock: str) -> tuple[packages.Target, str]:
    path = tmp_path / "requirements.txt"
    path.write_text(lock)
    target = packages.Target(str(tmp_path / "venv"), str(tmp_path / "wheels"))
    target.make(PYTHON)
    return target, str(path)


def _imports(target: packages.Target, *names: str) -> bool:
    argv = [target.python, "-I", "-c", f"import {','.join(names)}"]
    return subprocess.run(argv, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("with_uv", [True, False])
def test_packages_come_by_uv_from_a_wheel_or_else_by_the_pip_that_python_brings(tmp_path: Path, with_uv: bool) -> None:
    lines = _wheels(tmp_path / "wheels", *FEW, "uv")
    if not with_uv:
        next((tmp_path / "wheels").glob("uv-*.whl")).unlink()
    target, lock = _target(tmp_path, lines["idna"])
    [installed] = (tmp_path / "venv/lib").glob("python3.*/site-packages")
    assert os.listdir(installed) == []
    target.install_lock(lock, uv_lock=lines["uv"])
    assert _imports(target, "idna", "pip")
    assert (tmp_path / "venv/bin/uv").exists() == with_uv
    assert list((installed / "idna/__pycache__").glob("*.pyc"))
    [by] = installed.glob("idna-*.dist-info/INSTALLER")
    assert by.read_text().strip() == ("uv" if with_uv else "pip")
    target.install_more_lock(lines["traitlets"])
    target.remove("idna")
    assert (_imports(target, "traitlets"), _imports(target, "idna")) == (True, False)
    own = subprocess.run([tmp_path / "venv/bin/pip", "list"], capture_output=True, text=True, check=True, timeout=60)
    assert "traitlets" in own.stdout


def _stand_in(wheels: Path, name: str, *, program: str) -> str:
    """A wheel that looks like uv's; its hash, as a lock has it."""
    wheels.mkdir(exist_ok=True)
    path = wheels / name
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("uv-1.data/scripts/uv", program)
    return f"sha256:{_sha256(path)}"


def test_uv_comes_only_from_a_wheel_of_the_lock_that_runs_here(tmp_path: Path) -> None:
    wheels, prefix = tmp_path / "wheels", tmp_path / "venv"
    (prefix / "bin").mkdir(parents=True)
    broken = _stand_in(wheels, f"uv-1-py3-none-musllinux_1_1_{MACHINE}.whl", program="#!/bin/sh\nexit 1\n")
    other = _stand_in(wheels, "uv-1-py3-none-manylinux_2_17_other.whl", program="#!/bin/sh\n")
    good = _stand_in(wheels, f"uv-1-py3-none-manylinux_2_17_{MACHINE}.whl", program="#!/bin/sh\n# good\n")
    changed = good.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    assert not installers.unpack_uv(str(wheels), f"uv==1 --hash={changed}", str(prefix))
    assert not installers.unpack_uv(str(wheels), f"uv==1 --hash={broken} --hash={other}", str(prefix))
    assert installers.find_uv(str(prefix)) is None
    assert installers.unpack_uv(str(wheels), f"uv==1 --hash={broken} --hash={good}", str(prefix))
    found = installers.find_uv(str(prefix))
    assert found == str(prefix / "bin/uv")
    assert "# good" in Path(found).read_text()
    assert Path(found).stat().st_mode & 0o777 == 0o700


def test_an_account_without_pip_and_uv_is_told_what_it_lacks(tmp_path: Path) -> None:
    """The Python is a stand-in: a real one without ensurepip is not to be had beside the one that has it."""
    lines = _wheels(tmp_path / "wheels", "idna")
    target, lock = _target(tmp_path, lines["idna"])
    python = Path(target.python)
    python.unlink()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(HpcJupyterError) as caught:
        target.install_lock(lock, uv_lock="")
    assert str(caught.value) == (
        f"the packages could not be installed in {target.prefix}: the account has no uv, and its Python comes without "
        "pip. Install one of them (on Debian: python3-venv)"
    )
