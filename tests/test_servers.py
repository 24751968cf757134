"""Parameter servers: what tf_keras saves there is one tensor everywhere else, cut or not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf_keras")
pytestmark = [pytest.mark.keras, pytest.mark.slow]

JOB = Path(__file__).parent / "support" / "server_job.py"


@pytest.mark.parametrize("parts", [0, 2])
def test_what_fit_saves_is_restored_into_every_strategy_and_none(
    tmp_path: Path, repository: Path, parts: int
) -> None:
    done = subprocess.run(
        [sys.executable, JOB, tmp_path, str(parts)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(repository), str(JOB.parent)])},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = [line.split(": ") for line in done.stdout.splitlines()]
    assert len(told) == (13 if parts else 10)
    assert all(len(set(count.split(" of "))) == 1 for _, count in told), done.stdout
    names = {f"{n}{end}" for n in (1, 2) for end in (".keras", ".weights.h5")} | {"tf-1", "tf-2"}
    manifests = {path.name for path in tmp_path.glob("*.manifest.json")}
    assert manifests == {f"{name}.manifest.json" for name in names}

    import kerasguard as kg

    path = tmp_path / "2.keras"
    assert kg.verify(path).verdict == "as recorded"
    home = kg.inspect(path).environment
    assert (home["strategy"], home["workers"]) == ("ParameterServerStrategy", 2)
    record = kg.inspect(path).table.tensors["layers/dense/vars/1"]
    assert (record.shard is not None) == bool(parts)
    assert record.extent is not None
    content = bytearray(path.read_bytes())
    content[record.extent.offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(kg.UnrepairableError, match=r"KG302 hidden/"):
        kg.load(path)
