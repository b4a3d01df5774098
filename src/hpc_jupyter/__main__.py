"""``python -m hpc_jupyter`` is ``hpc-jupyter``."""

from __future__ import annotations

from hpc_jupyter.cli import main

if __name__ == "__main__":
    main()
