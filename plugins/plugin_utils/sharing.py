# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which other accounts of this machine log in at the same hop with the same key, so that it must stay there."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection

from ansible_collections.hpc.jupyter.plugins.plugin_utils import keys
from ansible_collections.hpc.jupyter.plugins.plugin_utils.explain import Hop
from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import Files, read, state_directory

_HOP = re.compile(r"(?m)^    HostName (\S+)\n    Port (\d+)\n    User (\S+)$")


def others(hop: Hop, *, account: str, public: str, leaving: Collection[str] = ()) -> list[str]:
    """The accounts but ``account``, and those that are ``leaving``, whose way leads through ``hop`` as the same user,
    and who log in with the key ``public``, as far as this machine can tell.
    """
    base = os.path.dirname(state_directory(account))
    known = sorted(os.path.basename(directory) for directory in glob.glob(os.path.join(glob.escape(base), "*")))
    return [
        name for name in known
        if name not in (account, *leaving) and _passes(Files(os.path.join(base, name)), hop)
        and keys.may_log_in_with(public, identity=Files(os.path.join(base, name)).identity)
    ]


def _passes(files: Files, hop: Hop) -> bool:
    return (hop.host, str(hop.port), hop.user) in _HOP.findall(read(files.config))
