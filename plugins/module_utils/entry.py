# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the program ``hpc-session`` begins: in a job, without loading what people's commands need."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the supervisor, or one of people's commands; returns the exit code."""
    given = sys.argv[1:]
    # Somebody waits for the job, and the commands take longer to load than the supervisor itself.
    if len(given) == 3 and given[0] == "supervise" and given[2].isdigit():
        from ansible_collections.hpc.jupyter.plugins.module_utils.supervisor import supervise

        return supervise(given[1], int(given[2]))
    from ansible_collections.hpc.jupyter.plugins.module_utils.command import main as command

    return command(given)
