"""A small file stays small in memory, whatever it claims."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import h5py
import numpy as np
import pytest

import kerasguard as kg
from kerasguard.errors import KerasguardError

CONFIG = json.dumps({"class_name": "Sequential", "config": {"layers": []}})


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def block(entries: list[tuple[int, bytes, bytes]]) -> bytes:
    """A block of a table: (shared, own, value) each, with its trailer."""
    data = b"".join(varint(s) + varint(len(k)) + varint(len(v)) + k + v for s, k, v in entries)
    data += (0).to_bytes(4, "little") + (1).to_bytes(4, "little") + b"\0"
    crc = google_crc32c.value(data)
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return data + masked.to_bytes(4, "little")


def table(blocks: list[bytes], listed: list[int]) -> bytes:
    """A table whose index lists the blocks at these places, as often as it likes."""
    data = b"".join(blocks)
    starts = [sum(map(len, blocks[:n])) for n in range(len(blocks))]
    entries = [
        (0, n.to_bytes(4, "big"), varint(starts[b]) + varint(len(blocks[b]) - 5))
        for n, b in enumerate(listed)
    ]
    index = block(entries)
    footer = varint(0) + varint(0) + varint(len(data)) + varint(len(index) - 5)
    magic = (0xDB4775248B80FB57).to_bytes(8, "little")
    return data + index + footer.ljust(40, b"\0") + magic


def growing_keys(path: Path) -> Path:
    entries = [(n, b"k", b"") for n in range(90_000)]
    path.with_name("m.index").write_bytes(table([block(entries)], [0]))
    path.with_name("m.data-00000-of-00001").write_bytes(b"")
    return path.with_name("m")


def one_block_many_times(path: Path) -> Path:
    entries = [(0, n.to_bytes(4, "big"), b"") for n in range(1500)]
    path.with_name("m.index").write_bytes(table([block(entries)], [0] * 1500))
    path.with_name("m.data-00000-of-00001").write_bytes(b"")
    return path.with_name("m")


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        for name, content in members.items():
            target.writestr(name.replace("__", "."), content)
    return path


def deflated_config(path: Path) -> Path:
    config = CONFIG.encode()[:-1] + b',"more":[' + b"{}," * (20 << 20) + b"1]}"
    return archive(path, config__json=config, model__weights__h5=b"", metadata__json=b"{}")


def deflated_weights(path: Path) -> Path:
    return archive(path, config__json=CONFIG.encode(), model__weights__h5=bytes(400 << 20))


def deflated_asset(path: Path) -> Path:
    more = {"assets/x": bytes(400 << 20)}
    return archive(path, config__json=CONFIG.encode(), model__weights__h5=b"", **more)


def compressed_datasets(path: Path) -> Path:
    path = path.with_name("m.weights.h5")
    with h5py.File(path, "w") as file:
        for n in range(4):
            zeros = np.zeros((25 << 20,), np.float32)
            name = f"layers/dense_{n}/vars/0"
            file.create_dataset(name, data=zeros, compression="gzip", chunks=(1 << 20,))
    return path


def brackets(path: Path) -> Path:
    """A manifest of little but lists."""
    made = growing_keys(path)
    made.with_name(f"{made.name}.manifest.json").write_bytes(b"[" + b"[]," * 2_600_000 + b"[]]")
    return made


BOMBS = (
    brackets,
    growing_keys, one_block_many_times, deflated_config, deflated_weights, deflated_asset,
    compressed_datasets,
)  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_takes_little_memory_and_time(
    tmp_path: Path, bomb: Callable[[Path], Path]
) -> None:
    path = bomb(tmp_path / "m.keras")
    code = (
        "import sys, time, resource, numpy, h5py, kerasguard as kg, kerasguard.loader.reading;"
        "from kerasguard.checkpoints.inspect import doubts;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10;"
        "before, start = peak(), time.process_time()\n"
        "try: kg.verify(sys.argv[1])\n"
        "except kg.KerasguardError as error: print(error)\n"
        "print(peak() - before, time.process_time() - start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)),
    )
    memory, seconds = map(float, done.stdout.splitlines()[-1].split())
    size = sum(p.stat().st_size for p in tmp_path.iterdir()) >> 20
    assert memory <= 2 * size + 64, done.stdout
    assert seconds <= 2, done.stdout
    with pytest.raises(KerasguardError):
        kg.verify(path)
