# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line in ``authorized_keys``, on an account or a gateway, by a POSIX shell: a gateway may have no Python.

A key is the same whatever its options and comment are. The comment of a line that was added here says what else was
made for it, so that removing it leaves everything as it was.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.hpc.jupyter.plugins.module_utils.authorized_keys import LOCK
from ansible_collections.hpc.jupyter.plugins.module_utils.errors import BadInput, HpcJupyterError
from ansible_collections.hpc.jupyter.plugins.plugin_utils.cluster import Cluster
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import closed_early, hops
from ansible_collections.hpc.jupyter.plugins.plugin_utils.patience import attempts
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import gateway_alias

MARK = "hpc.jupyter"
_PUBLIC = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]{32,8192}={0,2}")
_SECONDS = 60.0
_LET_IN = re.compile(r"(?m)^(?:debug1: )?Authenticated to ")
_TAKEN = re.compile(r"(?m)^debug1: Server accepts key: .* (SHA256:[A-Za-z0-9+/]{43})")

SCRIPT = r"""
set -u
umask 077
LC_ALL=C
export LC_ALL
verb=$1 key=$2 mark=$3 also=$4 lock=$5
file=.ssh/authorized_keys new= made= held=no

fail() { echo "problem $*"; exit 0; }
loose() { find "$1" -prune \( -perm -020 -o -perm -002 \) -print; }

# The numbers of a file's lines to look at: `key` those with the key, `ours` those of them that were added here.
lines() {
    [ -f "$2" ] || return 0
    awk -v which="$1" -v key="$key" -v mark="$mark" -v also="$also" '
        { line = $0; gsub(/[ \t\r]+/, " ", line); sub(/^ /, "", line); sub(/ $/, "", line) }
        line == "" || line ~ /^#/ { next }
        { last = line; sub(/.* /, "", last); note = last; sub(/,.*/, "", note) }
        { has = key != "" && index(" " line " ", " " key " ") }
        which == "key" && has { print NR }
        which == "ours" && ((has && note == mark) || (also != "" && last == also)) { print NR }
        which == "note" && has && note == mark { print last }' "$2"
}

check() {
    cd || fail "the home directory cannot be entered"
    if [ -e .ssh ] || [ -L .ssh ]; then
        [ -d .ssh ] || fail "~/.ssh is not a directory"
        [ -O .ssh ] || fail "~/.ssh belongs to another user"
    fi
    if [ -L "$file" ]; then
        file=$(readlink -f "$file") || fail "~/.ssh/authorized_keys is a link that leads nowhere"
    fi
    [ -e "$file" ] || return 0
    [ -f "$file" ] || fail "~/.ssh/authorized_keys is not a file"
    [ -O "$file" ] || fail "~/.ssh/authorized_keys belongs to another user"
    [ -r "$file" ] && [ -w "$file" ] || fail "~/.ssh/authorized_keys cannot be written to"
}

# A directory: it shuts out those on other hosts of a shared home too. Who has it needs it for moments. Without it, or
# with one that was left over, what others write meanwhile is still seen before the file is replaced.
hold() {
    tries=0
    until mkdir "$lock" 2>/dev/null; do
        tries=$((tries + 1))
        [ -d "$lock" ] || [ $tries -lt 3 ] || return 0
        [ $tries -lt 50 ] || break
        sleep 0.2 2>/dev/null || sleep 1
    done
    held=yes
}

# All is read from one copy, $new, which takes the file's place only if that is as it was.
state() { { cksum <"$file"; } 2>/dev/null; }

fresh() {
    was=$(state)
    new=$(mktemp "$file.XXXXXX") || fail "~/.ssh cannot be written to: is the disk or the quota full?"
    [ ! -e "$file" ] || cp -p "$file" "$new" || broken
}

unchanged() { [ "$(state)" = "$was" ]; }

edit() {
    cp -p "$new" "$new.cut" && "$@" "$new" >"$new.cut" && mv -f "$new.cut" "$new" || broken
}

broken() { fail "~/.ssh/authorized_keys could not be written: is the disk or the quota full?"; }

clean() {
    [ -z "$new" ] || rm -f "$new" "$new.cut"
    [ $held = no ] || rmdir "$lock" 2>/dev/null
    held=no new=
}

# Whether it was done; not if the file has changed meanwhile.
add() {
    [ -d .ssh ] || { mkdir .ssh && made=,directory || [ -d .ssh ] || fail "~/.ssh could not be made"; }
    fresh
    note=$mark
    [ -e "$file" ] || note="$note,file"
    note=$note$made
    [ -z "$(lines key "$new")" ] || return 0
    if [ -s "$new" ] && [ -n "$(tail -c 1 "$new")" ]; then
        note="$note,newline"
        echo >>"$new" || broken
    fi
    printf '%s %s\n' "$key" "$note" >>"$new" || broken
    [ "$(tail -n 1 "$new")" = "$key $note" ] || broken
    chmod u+rw,go-w "$new" || broken
    unchanged || return 1
    mv -f "$new" "$file" || broken
    changed=yes
    command -v restorecon >/dev/null 2>&1 && restorecon -R .ssh >/dev/null 2>&1
    return 0
}

remove() {
    [ -e "$file" ] || return 0
    fresh
    note=$(lines note "$new" | tail -n 1)
    numbers=$(lines ours "$new")
    [ -n "$numbers" ] || return 0
    last=$(awk 'END { print NR }' "$new")
    script=
    for number in $numbers; do script="$script${number}d;"; done
    edit sed "$script"
    [ -z "$note" ] || inherit
    [ -n "$note" ] || note=$mark,file,directory  # the line of the way back does not say what was made for it
    case ",$note,:$(echo $numbers)" in
        *,newline,*" $last" | *,newline,*":$last") edit head -c $(($(wc -c <"$new") - 1)) ;;
    esac
    unchanged || return 1
    case ",$note,:$(test -s "$new" && echo kept)" in
        *,file,*:) rm -f "$file" "$new" ;;
        *) mv -f "$new" "$file" || broken ;;
    esac
    changed=yes
    case ",$note," in *,directory,*) rmdir .ssh 2>/dev/null ;; esac
    return 0
}

# Another line of ours that stays says from now on what was made for the first.
inherit() {
    heir=$(awk -v mark="$mark" '!/^#/ && $NF == mark { print NR; exit }' "$new")
    [ -n "$heir" ] || return 0
    edit sed "${heir}s/[^ ]*\$/$note/"
    note=$mark
}

alone() {
    hold
    for attempt in 1 2 3 4 5; do
        "$1" && { clean; return; }
        rm -f "$new" "$new.cut"
    done
    fail "~/.ssh/authorized_keys is being changed by somebody else. Run it again when that is done"
}

tighten() {
    for path in .ssh "$file"; do
        if [ -e "$path" ] && [ -n "$(loose "$path")" ]; then
            changed=yes
            [ "$verb" = look ] || chmod go-w "$path" || fail "the mode of $path could not be changed"
        fi
    done
}

changed=no there=no ours=no
trap clean EXIT
trap 'exit 1' HUP INT TERM
check
[ -z "$(lines ours "$file")" ] || ours=yes
case $verb in
    add)
        [ -n "$(lines key "$file")" ] || alone add
        tighten ;;
    remove)
        [ $ours = no ] || { alone remove; ours=no; } ;;
    look)
        tighten ;;
esac
[ -z "$(lines key "$file")" ] || there=yes
echo "answer $changed $there $ours"
"""


@dataclass(frozen=True)
class Answer:
    """What was found and done: ``changed`` something, the key was ``there`` at the end, a line was ``ours``."""

    changed: bool
    there: bool
    ours: bool


class KeyProblem(HpcJupyterError):
    """``authorized_keys`` could not be read or changed."""


def arguments(verb: str, public: str, *, also: str = "") -> list[str]:
    """The argv that adds, removes or looks for ``public``; ``also`` is the comment of a line to remove as well."""
    if public and not _PUBLIC.fullmatch(public):
        raise BadInput("public_key", f"{public!r} is not TYPE BASE64")
    return ["/bin/sh", "-c", SCRIPT, "sh", verb, public, MARK, also, LOCK]


def parse(text: str, *, where: str) -> Answer:
    """What the script has said; raises ``KeyProblem``."""
    lines = text.strip().splitlines()
    word, _space, rest = lines[-1].partition(" ") if lines else ("", "", "")
    if word == "answer" and len(rest.split()) == 3:
        return Answer(*(part == "yes" for part in rest.split()))
    said = rest if word == "problem" else f"the shell there did not do what it was told: {' '.join(lines)[-200:]}"
    raise KeyProblem(f"{where}: {said}")


@dataclass(frozen=True)
class Asked:
    """How ssh is to be run: over which configuration, and with what in its environment."""

    config: str
    environment: Mapping[str, str]


def lets_in(cluster: Cluster, *, index: int, asked: Asked, key_only: bool = False) -> bool:
    """Whether the hop at ``index`` lets us in; with ``key_only``, without a password at this hop."""
    options = ["-o", "PreferredAuthentications=publickey,gssapi-with-mic,hostbased"] if key_only else []
    done = to_hop(cluster, index=index, asked=asked, options=options, script="exit 0\n")
    return len(_LET_IN.findall(done.stderr)) > index


def takes(cluster: Cluster, *, index: int, asked: Asked, key: str, public: str) -> bool:
    """Whether the hop at ``index`` lets us in with this very key, whatever other keys it would take as well."""
    only = [f'IdentityFile "{key}"', "IdentitiesOnly yes", "PreferredAuthentications publickey", "LogLevel DEBUG1"]
    options = [word for line in only for word in ("-o", line)]
    said = to_hop(cluster, index=index, asked=asked, options=options, script="exit 0\n").stderr
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(public.split()[1])).digest()).decode().rstrip("=")
    return len(_LET_IN.findall(said)) > index and _TAKEN.findall(said)[-1:] == [f"SHA256:{digest}"]


def on_gateway(cluster: Cluster, argv: Sequence[str], *, index: int, asked: Asked) -> str:
    """What a command prints on a gateway; empty if the gateway runs no commands."""
    nonce = secrets.token_hex(16)
    script = f"printf '\\n%s begin\\n' {nonce}\n{shlex.join(argv)} </dev/null\nprintf '\\n%s end\\n' {nonce}\nexit 0\n"
    done = to_hop(cluster, index=index, asked=asked, options=[], script=script)
    found = re.search(rf"{nonce} begin\n(.*)\n{nonce} end\n", done.stdout, re.DOTALL)
    return found[1] if found else ""


def to_hop(
    cluster: Cluster, *, index: int, asked: Asked, options: Sequence[str], script: str
) -> subprocess.CompletedProcess[str]:
    """Run ``script`` on the hop at ``index``, over a connection of its own; ``options`` win over the configuration."""
    for is_last in attempts():
        done = _once_to_hop(cluster, index=index, asked=asked, options=options, script=script)
        if is_last or done.returncode == 0 or not closed_early(done.stderr):
            break
    return done


def _once_to_hop(
    cluster: Cluster, *, index: int, asked: Asked, options: Sequence[str], script: str
) -> subprocess.CompletedProcess[str]:
    alias = cluster.name if index == len(hops(cluster)) - 1 else gateway_alias(cluster, index)
    alone = ["-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "ClearAllForwardings=yes"]
    argv = ["ssh", "-T", "-F", asked.config, *alone, *options, "--", alias, "exec /bin/sh -s"]
    with tempfile.TemporaryFile("w+") as stdin:
        stdin.write(script)
        stdin.seek(0)
        process = subprocess.Popen(
            argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            start_new_session=True, env={**os.environ, **asked.environment},
        )
        try:
            stdout, stderr = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(argv, process.returncode, stdout, stderr)
