#!/bin/bash -l
# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The job of every session: job.sh SESSION_DIR GENERATION. It is static: what a person asked for is in
# SESSION_DIR/request.json, which the supervisor reads. A login shell, so that `module` exists.
# Schedulers run a copy of this file, so everything is found from SESSION_DIR.

fail() {
    printf 'hpc-jupyter: %s\n' "$1" >&2
    exit 1
}

[ "$#" -eq 2 ] || fail "usage: job.sh SESSION_DIR GENERATION"
hpc_jupyter_session=$1
hpc_jupyter_generation=$2
hpc_jupyter_root=$(cd -- "$hpc_jupyter_session/../.." && pwd) || fail "there is no session directory $hpc_jupyter_session"

umask 077
# PBS and LSF bring what a job prints to its place only at its end: there, the log is written from here.
[ -z "${PBS_JOBID:-${LSB_JOBID:-}}" ] || exec >> "$hpc_jupyter_session/job.log" 2>&1
# It names a directory of the login host's, which is not there on the node.
unset XDG_RUNTIME_DIR

[ -r "$hpc_jupyter_root/environment.sh" ] ||
    fail "$hpc_jupyter_root/environment.sh is missing: set the account up again (playbook hpc.jupyter.setup)"
# A sourced script that gets no arguments sees the caller's: activation scripts would take them for their own.
set --
# shellcheck source=/dev/null
. "$hpc_jupyter_root/environment.sh"

[ -n "$HPC_JUPYTER_PYTHON" ] ||
    fail "$hpc_jupyter_root/environment.sh does not set HPC_JUPYTER_PYTHON: set the account up again (playbook hpc.jupyter.setup)"
[ -f "$HPC_JUPYTER_PYTHON" ] && [ -x "$HPC_JUPYTER_PYTHON" ] ||
    fail "there is no Python to run at $HPC_JUPYTER_PYTHON on $(uname -n): the Jupyter environment is missing there"
[ -r "$hpc_jupyter_root/hpc-session" ] ||
    fail "$hpc_jupyter_root/hpc-session is missing: set the account up again (playbook hpc.jupyter.setup)"

umask 077
unset XDG_RUNTIME_DIR
export HPC_JUPYTER_JOB_PID=$$
exec "$HPC_JUPYTER_PYTHON" "$hpc_jupyter_root/hpc-session" supervise "$hpc_jupyter_session" "$hpc_jupyter_generation"
