"""Clusters made of network namespaces, with real sshd and real schedulers, for tests and for trying things out."""

from . import topologies
from .errors import LabError
from .lab import Lab
from .topology import Bind

__all__ = ["Bind", "Lab", "LabError", "topologies"]
