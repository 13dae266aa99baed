"""SLURM from Debian's packages, started for these tests on 127.0.0.1 and ended after them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("slurm.sh")
INSTALL = ["apt-get", "install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """SLURM in the environment of this process."""
    if not (shutil.which("slurmctld") and shutil.which("munged")):
        if os.geteuid() or not shutil.which("apt-get"):
            pytest.fail("these tests need slurm-wlm and munge, which root can install on Debian", pytrace=False)
        subprocess.run(INSTALL, check=True, stdout=subprocess.DEVNULL)
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", f"{folder}/slurm.conf")
        patch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        try:
            subprocess.run([SCRIPT, "start", folder], check=True, timeout=120)
            yield
        finally:
            subprocess.run([SCRIPT, "stop", folder], check=True, timeout=120, stderr=subprocess.DEVNULL)
