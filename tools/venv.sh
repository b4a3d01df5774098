#!/bin/sh
# usage: tools/venv.sh run|dev
# Makes .venv with the project in it (editable) and the packages of requirements/run.txt or requirements/dev.txt.
# A second run with nothing changed does nothing. On Debian, root gets missing packages installed.
set -eu

wanted=${1:?"say run or dev"}
cd "$(dirname "$0")/.."
here=$(pwd -P)
venv=$here/.venv
log=$here/.build/install.log
lock=requirements/$wanted.txt

say() { printf '%s\n' "$*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    for candidate in ${PYTHON:-/usr/bin/python3 python3.13 python3.12 python3.11 python3}; do
        if new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

can_make_venvs() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

apt_install() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "Python 3.11 or newer with its venv module is missing. On Debian 12 or newer:"
        say "    sudo apt-get install $*"
        exit 1
    fi
    say "Installing $* with apt"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@"; } \
        </dev/null >"$log" 2>&1 || fail_with_log "apt-get install $*"
}

fail_with_log() {
    say "Failed: $1. The end of $log:"
    tail -n 30 "$log" >&2
    exit 1
}

pip_install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "$@" >"$log" 2>&1 ||
        fail_with_log "pip install $*"
}

# uv is ten times as fast as pip, but reads none of pip's settings: where those name an index of their own, pip does it.
uv_install() {
    settings=$("$venv/bin/python" -m pip config list 2>/dev/null) || return 1
    case $settings in *.index-url=* | *.no-index=* | *.proxy=*) return 1 ;; esac
    cert=$(printf '%s\n' "$settings" | sed -n "s/.*\.cert='\(.*\)'\$/\1/p" | tail -n 1)
    if [ -z "${SSL_CERT_FILE:-}" ] && [ -n "$cert" ]; then export SSL_CERT_FILE="$cert"; fi
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --require-hashes \
        --requirement requirements/uv.txt >"$log" 2>&1 || return 1
    "$venv/bin/uv" pip install --python "$venv/bin/python" --require-hashes --compile-bytecode --requirement "$1" \
        >>"$log" 2>&1
}

mkdir -p .build/ansible_collections/hpc
ln -sfn ../../.. .build/ansible_collections/hpc/jupyter

# What the environment was made from; the path too, since a moved environment does not work.
stamp=$(printf '%s\n' "$here" | cat - "$lock" pyproject.toml hatch_build.py tools/venv.sh | cksum)
done=$venv/.installed-$wanted
if [ -f "$done" ] && [ "$(cat "$done")" = "$stamp" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    exit 0
fi

python=$(find_python) || apt_install python3 python3-venv
python=${python:-$(find_python)} || { say "No Python 3.11 or newer was found."; exit 1; }
can_make_venvs "$python" || apt_install python3-venv
can_make_venvs "$python" || { say "$python cannot make virtual environments: ensurepip is missing."; exit 1; }

if ! "$venv/bin/python" -c '' 2>/dev/null || [ "$(cat "$venv/.place" 2>/dev/null)" != "$here" ]; then
    say "Making .venv with $python"
    "$python" -m venv --clear "$venv" >"$log" 2>&1 || fail_with_log "$python -m venv .venv"
    printf '%s\n' "$here" >"$venv/.place"
fi
say "Installing hpc-jupyter and the packages of $lock into .venv"
if [ "$wanted" != dev ] || ! uv_install "$lock"; then
    pip_install --require-hashes --requirement "$lock"
fi
pip_install --no-deps --editable .
printf '%s\n' "$stamp" >"$done"
