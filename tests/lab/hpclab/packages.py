"""The Debian packages a lab needs, in one place."""

import shutil
from collections.abc import Iterable, Mapping
from glob import glob

from .errors import LabError

# package -> a program or a file that it brings, to see whether it is there however it came
HOSTS: Mapping[str, str] = {
    "iproute2": "ip",
    "nftables": "nft",
    "openssh-client": "ssh-keygen",
    "openssh-server": "sshd",
    "openssl": "openssl",
    "procps": "sysctl",
    "python3": "python3",
    "python3-venv": "/usr/lib/python3*/ensurepip/__init__.py",
    "tcsh": "tcsh",
    "util-linux": "unshare",
}
SLURM: Mapping[str, str] = {
    "munge": "munged",
    "slurm-client": "sbatch",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
}
SGE: Mapping[str, str] = {
    "gridengine-client": "qsub",
    "gridengine-exec": "sge_execd",
    "gridengine-master": "sge_qmaster",
    "msmtp-mta": "sendmail",  # which Grid Engine wants: one that is no server
}

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing(*needs: Mapping[str, str]) -> list[str]:
    return sorted(package for need in needs for package, program in need.items() if not _found(program))


def require(needs: Iterable[Mapping[str, str]]) -> None:
    absent = missing(*needs)
    if absent:
        raise LabError(
            f"missing on this machine: {', '.join(absent)}; "
            f"install with: apt-get install --no-install-recommends {' '.join(absent)}"
        )


def _found(program: str) -> bool:
    return any(glob(program)) if "/" in program else shutil.which(program, path=SEARCH) is not None
