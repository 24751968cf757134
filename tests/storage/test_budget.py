"""A small file stays small in memory, whatever it claims."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import h5py
import numpy as np
import pytest
from tf_bundles import graph, write_bundle

import kerasguard as kg
from kerasguard.errors import ArgumentError, KerasguardError
from kerasguard.manifest.schema import digest
from kerasguard.migrations import drawn, layer_names
from kerasguard.storage import sidecar
from kerasguard.storage.budget import LIMITS, allowed, excess

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
    crc: int = google_crc32c.value(data)
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


def star(path: Path) -> Path:
    """An object with thousands of variables, each reached by several edges."""
    weight = {"VARIABLE_VALUE": ("v", "k")}
    nodes: list[tuple[dict[str, int], dict[str, tuple[str, str]]]]
    nodes = [({f"layer_with_weights-{n}": n % 3000 for n in range(1, 12_000)}, {})]
    nodes += [({"kernel": 0}, weight) for _ in range(3000)]
    return write_bundle(path.with_name("m"), {"k": np.float32(1)}, graph=graph(*nodes))


BOMBS = (
    brackets, star,
    growing_keys, one_block_many_times, deflated_config, deflated_asset,
    pytest.param(deflated_weights, marks=pytest.mark.slow),
    pytest.param(compressed_datasets, marks=pytest.mark.slow),
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
    if bomb is not star:
        with pytest.raises(KerasguardError):
            kg.verify(path)


def test_time_grows_with_the_number_of_layers_of_one_name() -> None:
    layers = [{"class_name": "Dense", "config": {"name": "d", "units": 2}} for _ in range(20_000)]
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    blueprint = drawn(config, {"keras": "3.15.1", "config": "keras3"})
    start = time.process_time()
    layer_names.rewrite(blueprint)
    assert time.process_time() - start < 2
    assert blueprint.architecture["config"]["layers"][-1]["config"]["name"] == "d_19999"


def wide_manifest(path: Path) -> Path:
    with h5py.File(path.with_name("m.weights.h5"), "w") as file:
        file["layers/dense/vars/0"] = np.ones(3, np.float32)
    kg.record(path.with_name("m.weights.h5"))
    told = sidecar.sidecar_path(path.with_name("m.weights.h5"))
    data = json.loads(told.read_text())
    data["notes"] = [[[]]] * 90_000
    data["digest"] = digest({k: v for k, v in data.items() if k != "digest"})
    told.write_text(json.dumps(data))
    return path.with_name("m.weights.h5")


def large_manifest(path: Path) -> Path:
    made = wide_manifest(path)
    told = sidecar.sidecar_path(made)
    told.write_bytes(told.read_bytes() + b" " * (64 << 20))
    return made


def wide_config(path: Path) -> Path:
    """As a file of 3 MiB may have it once in a model's life."""
    notes: list[list[str]] = [[] for _ in range(400_000)]
    config = {"class_name": "Sequential", "config": {"layers": [], "notes": notes}}
    inner = path.with_name("inner.h5")
    with h5py.File(inner, "w") as file:
        file["layers/dense/vars/0"] = np.ones(3, np.float32)
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("config.json", json.dumps(config))
        target.writestr("model.weights.h5", inner.read_bytes())
    inner.unlink()
    return path


def zeros(path: Path) -> Path:
    path = path.with_name("m.weights.h5")
    with h5py.File(path, "w") as file:
        zeros = np.zeros((30 << 20,), np.float32)
        name = "layers/dense/vars/0"
        file.create_dataset(name, data=zeros, compression="gzip", chunks=(1 << 20,))
    return path


def wide_header(path: Path) -> Path:
    path = path.with_name("m.safetensors")
    more = {"__metadata__": {"a": "b"}, "x": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
    text = json.dumps(more).encode() + b" " * (65 << 20)
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return path


def names_of_one_start(path: Path) -> Path:
    """A TensorFlow checkpoint of names so long and alike that the table hardly has to hold them."""
    start = b"k" * 16_000
    entry = bytes.fromhex("080112041202080018002000280035d8ea82a2")
    keys = [(0, start, entry)]
    keys += [(len(start), n.to_bytes(3, "big").hex().encode(), entry) for n in range(3000)]
    header = (0, b"", bytes.fromhex("08011a020801"))
    path.with_name("m.index").write_bytes(table([block([header, *keys])], [0]))
    path.with_name("m.data-00000-of-00001").write_bytes(b"")
    return path.with_name("m")


@pytest.mark.parametrize(
    "made", [wide_manifest, large_manifest, wide_config, zeros, wide_header, names_of_one_start]
)
def test_an_error_about_a_limit_tells_how_to_raise_it_and_raised_it_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Callable[[Path], Path]
) -> None:
    path = made(tmp_path / "m.keras")
    with pytest.raises(KerasguardError, match=rf"at most \d+ are read.*{LIMITS}=\d+") as caught:
        kg.verify(path)
    told = re.search(rf"{LIMITS}=(\d+)", str(caught.value))
    assert told is not None
    monkeypatch.setenv(LIMITS, told[1])
    assert kg.verify(path).ok


def test_a_limit_that_is_no_number_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert excess(10, 10) == ""
    assert "KERASGUARD_LIMITS=2 " in excess(11, 10)
    monkeypatch.setenv(LIMITS, "2.5")
    assert (excess(25, 10), allowed(10)) == ("", 25)
    for wrong in ("", "0", "nan", "inf", "much"):
        monkeypatch.setenv(LIMITS, wrong)
        with pytest.raises(ArgumentError, match="not a number of 1 or more"):
            excess(11, 10)
