from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib import util
from pathlib import Path

import pytest

pytestmark = [pytest.mark.keras, pytest.mark.slow]

PATIENCE = float(os.environ.get("KERASGUARD_PATIENCE", "600"))
"""Seconds for each of the two runs; set KERASGUARD_PATIENCE for a slower machine."""

# They write into a file that was recorded, and look for what Keras says of it: the guard is first.
TAMPERING = ("test_load_weights_rejects_shape_bomb",)
# A test that counts the files in a folder would count the manifests, which is what they are for.
PLUGIN = """
import os
import kerasguard

kerasguard.patch(loads=True)
listdir = os.listdir
os.listdir = lambda *path: [n for n in listdir(*path) if not n.endswith(".manifest.json")]
"""


def keras_tests() -> list[Path]:
    spec = util.find_spec("keras")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "src"
    found = [
        *source.glob("saving/*_test.py"),
        *source.glob("callbacks/*checkpoint*_test.py"),
        *source.glob("callbacks/backup_and_restore_test.py"),
        *source.glob("legacy/saving/*_test.py"),
    ]
    if not found:
        pytest.skip("this Keras ships without its tests")
    return sorted(found)


def outcomes(folder: Path, *options: str) -> dict[str, str]:
    """What becomes of each of Keras' tests; `""` where it passes."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={folder}"]
    command += ["-p", "no:cacheprovider", f"--junitxml={report}", *options]
    command += map(str, keras_tests())
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[1])]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
    }
    environment.pop("PYTEST_ADDOPTS", None)  # how our own tests are run is none of theirs
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"this machine does not finish Keras' own tests in {PATIENCE} s")
    assert report.exists(), done.stdout + done.stderr
    found = {}
    for case in ET.parse(report).iter("testcase"):
        bad = [f"{c.tag}: {c.get('message')}" for c in case if c.tag != "system-out"]
        found[f"{case.get('classname')}.{case.get('name')}"] = "".join(bad)
    return found


def test_keras_own_saving_tests_have_the_same_outcomes_with_the_patch_on(tmp_path: Path) -> None:
    for name in ("stock", "patched"):
        (tmp_path / name).mkdir()
    (tmp_path / "patched" / "with_kerasguard.py").write_text(PLUGIN)
    stock = outcomes(tmp_path / "stock")
    patched = outcomes(tmp_path / "patched", "-p", "with_kerasguard")
    assert len(stock) > 100
    assert list(patched) == list(stock)
    different = {
        name: f"{stock[name] or 'passes'} -> {result or 'passes'}"
        for name, result in patched.items()
        if bool(result) != bool(stock[name])
        and not (name.endswith(TAMPERING) and "GuardError" in result)
    }
    assert not different
