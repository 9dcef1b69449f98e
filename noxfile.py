"""The tests in other environments than that of `make`. Needs nox: pip install nox.

nox -s tests-3.13                       all tests with Python 3.13; what follows -- goes to pytest
nox -s "torch-3.13(version='2.14.1')"   all tests with another torch, a large download
nox -s wheel                            README's lines with the built wheel in an empty environment
"""

import re
from pathlib import Path

import nox

nox.options.sessions = ["tests", "wheel"]
ROOT = Path(__file__).parent
PINNED = ("--constraint", str(ROOT / "constraints.txt"))


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run the tests with the pinned packages."""
    session.install(*PINNED, "hatchling")
    session.install(*PINNED, "--no-build-isolation", "--editable", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13"])
@nox.parametrize("version", ["2.9.0", "2.14.1"])  # the oldest that is supported, and the newest
def torch(session: nox.Session, version: str) -> None:
    """Run the tests with the pinned packages, but another torch."""
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = Path(session.create_tmp()) / "constraints.txt"
    own = ("torch==", "setuptools==", "sympy==")  # torch itself, and what it pins
    pinned.write_text("\n".join(line for line in pins if not line.startswith(own)))
    session.install("--constraint", str(pinned), f"torch=={version}", "hatchling")
    session.install("--constraint", str(pinned), "--no-build-isolation", "--editable", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13"])
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it alone, and run the Python lines of README.md elsewhere."""
    folder = session.create_tmp()
    session.install(*PINNED, "hatchling", "build")
    session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, str(ROOT))
    session.run("python", "-m", "pip", "uninstall", "--yes", "hatchling", "build")
    (built,) = Path(folder).glob("*.whl")
    session.install(*PINNED, str(built))
    lines = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S))
    session.chdir(folder)
    session.run("python", "-c", lines)
