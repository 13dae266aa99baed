"""A wheel carries conf/ inside the package; in a checkout, and in an editable install, it lies at the top."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    """`build_py`, then conf/ beside the modules."""

    def run(self) -> None:
        """Copy conf/ unless the install is editable, which uses the one in the checkout."""
        super().run()
        if not self.editable_mode:
            shutil.copytree("conf", Path(self.build_lib) / "hprune" / "conf", dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConf})
