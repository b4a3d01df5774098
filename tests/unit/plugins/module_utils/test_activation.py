# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import platform
import subprocess
import sys

import pytest
from ansible_collections.hpc.jupyter.plugins.module_utils import activation, environment
from ansible_collections.hpc.jupyter.plugins.module_utils.activation import Activation
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError

HERE = platform.node()
HOSTILE = ["a b", "$(touch PWNED)", "`touch PWNED`", "'; touch PWNED; '", '"; touch PWNED; "', "*", "\\", "$HOME"]
# Stands in for a module system: it writes down what it was asked for.
STAND_IN = 'module() { printf "<%s>" "$@" >>"$HOME/asked"; echo >>"$HOME/asked"; }\n'


@pytest.fixture(autouse=True)
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A home directory without conda."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _words(wanted: Activation) -> str:
    with pytest.raises(HpcJupyterError) as caught:
        activation.try_out(wanted)
    return str(caught.value)


def _program(path: pathlib.Path, text: str) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def _conda(root: pathlib.Path, *names: str) -> None:
    """A stand-in for conda's root: its script, and an activation that knows `names`."""
    known = "".join(f"'{root}/envs/{name}') ;; " for name in names)
    (root / "etc/profile.d").mkdir(parents=True)
    (root / "etc/profile.d/conda.sh").write_text(
        'conda() { case $2 in */*) set -- "$1" "$2" ;; *) set -- "$1" "' + str(root) + '/envs/$2" ;; esac\n'
        "case $2 in " + known + '*) echo "EnvironmentNameNotFound: $2" >&2; return 1 ;; esac\n'
        "export CONDA_PREFIX=$2; }\n"
    )
    for name in names:
        _program(root / "envs" / name / "bin/python", f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_a_value(value: str, home: pathlib.Path) -> None:
    python = str(home / value.replace("/", "") / "python")
    wanted = Activation("existing", python=python, bin=os.path.dirname(python), modules=(value,), prologue=STAND_IN)
    text = activation.render(wanted)
    show = '. "$0"; printf "%s\\n" "$HPC_JUPYTER_PYTHON" "${PATH%%:*}"'
    (home / "environment.sh").write_text(text)
    done = subprocess.run(
        ["bash", "-c", show, "environment.sh"], stdout=subprocess.PIPE, timeout=30, check=True
    )
    assert done.stdout.decode().splitlines() == [python, os.path.dirname(python)]
    assert (home / "asked").read_text() == f"<load><{value}>\n"
    assert not (home / "PWNED").exists()


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_word_of_a_command_stays_a_word(value: str, home: pathlib.Path) -> None:
    show = _program(home / "show", '#!/bin/bash\nprintf "<%s>" "$@"\n')
    wanted = Activation("command", command=(str(show), value), wrapper="/root of/environment-python")
    assert activation.try_out(wanted, ["-c", value]).out == f"<{value}><python3><-c><{value}>"
    assert not (home / "PWNED").exists()
    assert "export HPC_JUPYTER_PYTHON='/root of/environment-python'\n" in activation.render(wanted)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_conda_environment_stays_a_name(value: str, home: pathlib.Path) -> None:
    _conda(home / "conda")
    message = _words(Activation("conda", conda=str(home / "conda"), name=value))
    assert message.startswith(f"the conda environment {value} cannot be activated on {HERE}: EnvironmentNameNotFound: ")
    assert not (home / "PWNED").exists()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Activation("module"), "jupyter_environment_modules: is empty. Name the modules that bring jupyter"),
        (Activation("module", modules=("-h",)),
         "jupyter_environment_modules: '-h' is not a module. Write one a list item"),
        (Activation("module", modules=(" ",)),
         "jupyter_environment_modules: ' ' is not a module. Write one a list item"),
        (Activation("venv", modules=("a\nb",)),
         "jupyter_environment_modules: 'a\\nb' has a line break or another control character in it"),
        (Activation("command"),
         "jupyter_environment_command: is empty. Write its words, such as [apptainer, exec, x.sif]"),
        (Activation("command", command=("env", "a\nb")),
         "jupyter_environment_command: 'a\\nb' has a line break or another control character in it"),
        (Activation("command", command=("env",), python="a\rb"),
         "jupyter_environment_python: 'a\\rb' has a line break or another control character in it"),
        (Activation("conda", conda="/opt/a\nb"),
         "jupyter_environment_conda: '/opt/a\\nb' has a line break or another control character in it"),
        (Activation("conda", name="a\nb"),
         "jupyter_environment_path: 'a\\nb' has a line break or another control character in it"),
        (Activation("venv", prologue="a\0b"), "jupyter_environment_prologue: has a null character in it"),
    ],
)  # fmt: skip
def test_what_is_missing_or_cannot_be_quoted_is_refused(wanted: Activation, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        activation.check(wanted)
    assert str(caught.value) == message


def test_a_plain_environment_gets_a_plain_script() -> None:
    assert activation.render(Activation("venv", python="/v/bin/python", bin="/v/bin")) == (
        "# Written by the role hpc.jupyter.jupyter_environment, which replaces it at its next run. "
        "The job sources it.\n"
        "unset PYTHONHOME PYTHONPATH\n"
        "export HPC_JUPYTER_PYTHON=/v/bin/python\n"
        'export PATH=/v/bin:"$PATH"\n'
    )


def test_the_prologue_comes_first_then_the_purge_then_the_modules_in_order(home: pathlib.Path) -> None:
    prologue = f"{STAND_IN}module use /opt/lab"
    activation.try_out(
        Activation("existing", python=sys.executable, bin="/b", modules=("a/1", "b"), purge=True, prologue=prologue)
    )
    assert (home / "asked").read_text() == "<use></opt/lab>\n<purge>\n<load><a/1>\n<load><b>\n"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Activation("module", modules=("a",), prologue="unset -f module"),
         f"there is no module command on {HERE}, not even in a login shell. If the site has one, source what defines "
         "it in jupyter_environment_prologue"),
        (Activation("module", modules=("a/9",), prologue="module() { echo 'ERROR: no such module' >&2; return 1; }"),
         f"the module a/9 cannot be loaded on {HERE}: ERROR: no such module"),
        (Activation("venv", purge=True, prologue="module() { return 1; }"), f"module purge failed on {HERE}"),
        (Activation("module", modules=("a", "b"), prologue="module() { PATH=/nowhere:/bin/nowhere; hash uname; }; "
                    "uname() { echo here; }"),
         "the modules a, b cannot run JupyterLab: there is no jupyter program on PATH on here"),
        (Activation("conda", name="ml"),
         f"there is no conda, mamba or micromamba on {HERE}: set jupyter_environment_conda to its directory or its "
         "program"),
        (Activation("conda", name="ml", conda="/no/conda"), f"there is no conda at /no/conda on {HERE}"),
        (Activation("command", command=("no-such-runtime", "exec")), f"there is no no-such-runtime on {HERE}"),
        (Activation("existing", python="/p", prologue="exit 3"), "environment.sh ended with 3 before its end"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named(wanted: Activation, message: str) -> None:
    with pytest.raises(HpcJupyterError) as caught:
        activation.try_out(wanted, ["-c", ""])
    assert str(caught.value).startswith(message)


def test_a_prologue_that_bash_cannot_read_is_shown_with_bashs_words() -> None:
    message = _words(Activation("existing", python="/p", bin="/b", prologue="if true; then"))
    assert message.startswith(f"environment.sh does not get to its end on {HERE}: environment.sh: line ")
    assert "syntax error" in message


@pytest.mark.parametrize(
    ("first", "python"),
    [("#!{beside}", "{beside}"), ("#!/usr/bin/env python3", "{path}/python3"), ("#!/bin/sh", "{path}/python3")],
)
def test_the_python_of_a_modules_jupyter_is_the_one_that_runs_it(first: str, python: str, home: pathlib.Path) -> None:
    places = {"beside": str(home / "other/python3.12"), "path": str(home / "bin")}
    _program(home / "lab/jupyter", first.format(**places) + "\n")
    for path in (home / "other/python3.12", home / "bin/python3"):
        _program(path, '#!/bin/bash\necho "$0"\n')
    prologue = f"module() {{ PATH={home}/lab:{home}/bin:$PATH; }}"
    wanted = Activation("module", modules=("lab",), prologue=prologue)
    assert activation.try_out(wanted, ["-V"]).out.strip() == python.format(**places)
    _program(home / "lab/python", '#!/bin/bash\necho "$0"\n')
    assert activation.try_out(wanted, ["-V"]).out.strip() == str(home / "lab/python")


def test_conda_is_activated_by_name_and_by_directory_and_found_in_the_home(home: pathlib.Path) -> None:
    _conda(home / "miniforge3", "ml")
    python = home / "miniforge3/envs/ml/bin/python"
    for conda in ("", str(home / "miniforge3")):
        for name in ("ml", str(home / "miniforge3/envs/ml")):
            wanted = Activation("conda", name=name, conda=conda)
            told = activation.try_out(wanted, ["-c", "import os; print(os.environ['HPC_JUPYTER_PYTHON'])"])
            assert told.out.strip() == str(python)


@pytest.mark.parametrize(
    ("tool", "asked"),
    [("conda", "shell.bash hook"), ("mamba", "shell hook --shell bash"), ("micromamba", "shell hook --shell bash")],
)
def test_a_program_of_condas_kind_gives_its_own_hook(tool: str, asked: str, home: pathlib.Path) -> None:
    """Stand-ins: no real conda, mamba or micromamba can be had from PyPI or Debian."""
    hook = f'{tool}() {{ [ "$1" = activate ] && export CONDA_PREFIX="{home}/envs/$2"; }}'
    _program(home / "tools" / tool, f"#!/bin/bash\n[ \"$*\" = '{asked}' ] && echo '{hook}'\n")
    _program(home / "envs/ml/bin/python", "#!/bin/bash\necho this one\n")
    (home / "bin").symlink_to(home / "tools")
    for conda in (home / "tools" / tool, home):
        assert activation.try_out(Activation("conda", name="ml", conda=str(conda)), ["-V"]).out == "this one\n"


def test_an_environment_without_jupyterlab_says_which_module_is_missing(home: pathlib.Path) -> None:
    _conda(home / "conda", "ml")
    with pytest.raises(HpcJupyterError) as caught:
        environment.activated(Activation("conda", name="ml", conda=str(home / "conda")))
    assert str(caught.value).startswith(
        "no JupyterLab in the conda environment ml: jupyterlab cannot be imported (ModuleNotFoundError: "
    )


@pytest.mark.parametrize("kind", [activation.VENV, activation.EXISTING])
@pytest.mark.parametrize("prefix", ["/home/alice/venv", "/home/alice/a b", "/home/alice/it's"])
def test_a_script_tells_which_environment_it_leads_to(kind: str, prefix: str) -> None:
    wanted = Activation(kind, python=f"{prefix}/bin/python", bin=f"{prefix}/bin", modules=("gcc",))
    assert activation.told(activation.render(wanted)) == (kind, wanted.python)


@pytest.mark.parametrize(
    "wanted",
    [
        Activation(activation.MODULE, modules=("jupyter",), prologue="export HPC_JUPYTER_PYTHON=/x\nexport PATH=/x"),
        Activation(activation.CONDA, name="/home/alice/ml"),
        Activation(activation.COMMAND, command=("apptainer",), wrapper="/home/alice/environment-python"),
    ],
)
def test_a_script_that_finds_its_environment_out_tells_none(wanted: Activation) -> None:
    assert activation.told(activation.render(wanted)) == ("", "")
