"""Hold a connection to a test's session, as ``hpc-jupyter`` does: ``python -m tests.cli.holder HOME``."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from ansible_collections.hpc.jupyter.plugins.plugin_utils.ssh_config import write

from hpc_jupyter.access import Access
from hpc_jupyter.connection import Connector
from hpc_jupyter.hold import Holder
from hpc_jupyter.progress import Plain
from hpc_jupyter.results import Hints


def main(home: Path) -> None:
    """Hold until killed."""
    cluster = pickle.loads((home / "cluster").read_bytes())  # noqa: S301 - the test has written it
    access = Access(cluster, write(cluster, own_configs=[str(home / "own_config")]))
    connector = Connector(access, "default", Plain(sys.stderr), Hints((), cluster.account))
    access.log_in(connector.progress, interactive=False)
    Holder(connector, connector.connect(connector.attach()), connector.progress.say).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
