"""The wheel holds the library alone, and the library runs from it without the clone."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# -S leaves out the .pth files, and with them the editable install of the clone.
IMPORT_EVERYTHING = """
import importlib, importlib.util, pkgutil, di4c
names = [module.name for module in pkgutil.walk_packages(di4c.__path__, "di4c.")]
for name in names:
    importlib.import_module(name)
rooms = ["theory", "toys", "figures", "full_scale", "reporting"]
found = [room for room in rooms if importlib.util.find_spec(room)]
print(di4c.__file__, len(names), found, sep="|")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


def test_wheel_holds_the_library_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"di4c"}
    assert {"di4c/__init__.py", "di4c/py.typed"} <= set(names)
    tracked = {str(p.relative_to(ROOT)) for p in (ROOT / "di4c").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == tracked


def test_every_module_imports_from_the_wheel(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(site), sysconfig.get_path("purelib")])
    }
    command = [sys.executable, "-S", "-c", IMPORT_EVERYTHING]
    result = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    file, count, rooms = result.stdout.strip().split("|")
    assert Path(file) == site / "di4c" / "__init__.py"
    assert int(count) > 0
    assert rooms == "[]"
