"""What the fuzzer calls: each reader with bytes of nobody's making.

A target takes any bytes, makes the checksums right that would stop them at the door, and calls the
reader as `inspect`, `scan` and `load` do before Keras is called. Whatever it raises is a finding;
a `KerasguardError` is what the readers owe to bad bytes. `seeds` are what the mutations begin with.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import copy
import io
import json
import lzma
import random
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from format_files import CONFIG, hdf5, zipped
from tf_bundles import masked_crc, table, write_bundle

from kerasguard.blueprint.lambdas.listing import lambda_sources
from kerasguard.blueprint.references import doubts
from kerasguard.bytecode.code_layouts import LAYOUTS
from kerasguard.bytecode.expressions import NotUnderstoodError
from kerasguard.bytecode.functions import read as read_function
from kerasguard.bytecode.marshalled import MalformedError
from kerasguard.bytecode.marshalled import parse as parse_code
from kerasguard.errors import KerasguardError
from kerasguard.formats import open_checkpoint
from kerasguard.formats.keras_paths import weights_table
from kerasguard.formats.tensorflow.protobuf_wire import WireError, varint
from kerasguard.formats.tensorflow.sorted_table import read_table
from kerasguard.formats.tensorflow.tensor_bundle import Bundle
from kerasguard.manifest import FileRecord, Manifest, MemberRecord
from kerasguard.manifest.schema import digest
from kerasguard.migrations import migrate
from kerasguard.storage import safetensors, sidecar
from kerasguard.storage.opened_file import OpenedFile
from kerasguard.storage.strict_json import strict_json
from kerasguard.tensors import Extent, LayerRecord, Table, TensorRecord, TensorSpec

GOLDEN = Path(__file__).parents[1] / "golden"
_WRITERS = ({"keras": "3.15.1", "config": "keras3"}, {"keras": "2.4.0"}, {"keras": "1.2.2"})
_LARGEST = 1 << 20  # bytes of a tensor that is read
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


@dataclass(frozen=True)
class Target:
    """One reader.

    Args:
        call: takes the input; raises what is a finding.
        seeds: what mutations begin with.
        structured: whether the input drives changes of a seed instead of being the file.
    """

    call: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    structured: bool = False


@cache
def _folder() -> Path:
    """Where inputs lie that are read as files; in memory where the system has such a place."""
    memory = Path("/dev/shm")
    place = tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None)
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)


def look_at(path: Path) -> None:
    """All that is read of a checkpoint before a framework is called."""
    with contextlib.suppress(KerasguardError), open_checkpoint(path) as checkpoint:
        stored, writer = None, {}
        for ask in (checkpoint.writer, checkpoint.layer_configs, checkpoint.assets):
            with contextlib.suppress(KerasguardError):
                list(doubts(ask()))
        with contextlib.suppress(KerasguardError):
            stored, writer = checkpoint.architecture(), checkpoint.writer()
        if stored is not None:
            _judge(stored, (writer,))
        with contextlib.suppress(KerasguardError):
            checkpoint.verify_container()
            checkpoint.member_records()
            checkpoint.foreign()
        records = checkpoint.table().tensors
        for key in list(records)[:20]:
            if records[key].spec.nbytes <= _LARGEST:
                with contextlib.suppress(KerasguardError):
                    checkpoint.read(key)


def _judge(config: Any, writers: tuple[dict[str, str], ...]) -> None:
    for writer in writers:
        with contextlib.suppress(KerasguardError):
            list(doubts(config))
            migrate(copy.deepcopy(config), writer)
    with contextlib.suppress(KerasguardError):
        list(lambda_sources(config))
    with contextlib.suppress(KerasguardError):
        weights_table({}, {}, config)


def _file(name: str) -> Callable[[bytes], None]:
    def call(data: bytes) -> None:
        path = _folder() / name
        path.write_bytes(data)
        look_at(path)

    return call


# Structured: the input says what is changed in a sound object.

_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 2**63, 1.5, 1e308, "", "x", "a/b", "../x", "os.system", "\0", [],
    [None], [[]], {}, {"a": None}, {"class_name": "__lambda__"}, {"class_name": "Dense"},
    {"class_name": "function", "config": "relu"}, {"config": {}}, [["in", 0, 0]], "x" * 300,
)  # fmt: skip


def changed(data: Any, how: bytes) -> Any:
    """A copy of JSON with as many changes as the bytes tell: replaced, moved, doubled, removed."""
    data = copy.deepcopy(data)
    steps = [how[at : at + 5] for at in range(0, min(len(how), 60), 5)]
    for step in steps:
        if len(step) < 5:
            break
        places = list(_places(data))
        if not places:
            break
        inner, key = places[int.from_bytes(step[:2], "little") % len(places)]
        kind, value = step[2] % 5, step[3] | step[4] << 8
        if kind <= 1:
            inner[key] = copy.deepcopy(_VALUES[value % len(_VALUES)])
        elif kind == 2:
            other, there = places[value % len(places)]
            with contextlib.suppress(LookupError):
                inner[key] = copy.deepcopy(other[there])
        elif kind == 3 and isinstance(inner, list):
            inner.insert(key, copy.deepcopy(inner[key]))
        else:
            del inner[key]
    return data


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [data]
    while waiting:
        inner = waiting.pop()
        if not isinstance(inner, (dict, list)):
            continue
        for key in list(inner) if isinstance(inner, dict) else range(len(inner)):
            yield inner, key
            waiting.append(inner[key])


def _any_seed() -> list[bytes]:
    return [bytes(random.Random(n).randbytes(10)) for n in range(8)]


def _functional() -> dict[str, Any]:
    """A graph with a layer that is called twice, a nested model, and its training."""

    def history(name: str) -> Any:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}

    def layer(kind: str, name: str, node: Any, **config: Any) -> Any:
        return {
            "module": "keras.layers", "class_name": kind, "registered_name": None, "name": name,
            "config": {"name": name, **config}, "inbound_nodes": node,
        }  # fmt: skip

    once = [{"args": [history("in")], "kwargs": {}}]
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": {
            "name": "m",
            "layers": [
                layer("InputLayer", "in", [], batch_shape=[None, 3], dtype="float32"),
                layer("Dense", "d", once, units=2, activation="relu"),
                layer("Add", "a", [{"args": [[history("d"), history("d")]], "kwargs": {}}]),
                layer("Bidirectional", "b", once, layer=layer("LSTM", "l", [], units=2)),
                layer("Lambda", "f", once, function={"class_name": "__lambda__", "config": {}}),
                layer("StringLookup", "s", once, vocabulary=["a"]),
            ],
            "input_layers": [["in", 0, 0]],
            "output_layers": [["a", 0, 0]],
        },
        "compile_config": {
            "loss": {"d": "mse"}, "metrics": [["accuracy"]],
            "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.1}},
        },
    }  # fmt: skip


def _older() -> dict[str, Any]:
    """The same as Keras 2 writes it."""
    layers = [
        {"class_name": "InputLayer", "name": "in", "inbound_nodes": [],
         "config": {"batch_input_shape": [None, 8, 3], "name": "in", "dtype": "float32"}},
        {"class_name": "Bidirectional", "name": "b", "inbound_nodes": [[["in", 0, 0, {}]]],
         "config": {"name": "b", "merge_mode": "concat",
                    "layer": {"class_name": "GRU", "config": {"name": "g", "units": 2}}}},
        {"class_name": "TensorFlowOpLayer", "name": "t", "inbound_nodes": [[["b", 0, 0, {}]]],
         "config": {"name": "t", "node_def": "CgFh", "constants": {"1": 2.0}}},
        {"class_name": "Lambda", "name": "f", "inbound_nodes": [[["b", 0, 0, {}]]],
         "config": {"name": "f", "function_type": "lambda", "function": ["4wEAAA==", None, None]}},
        {"class_name": "Merge", "name": "m", "inbound_nodes": [[["b", 0, 0], ["f", 0, 0]]],
         "config": {"name": "m", "mode": "sum"}},
    ]  # fmt: skip
    config = {"name": "n", "layers": layers, "input_layers": [["in", 0, 0]],
              "output_layers": [["m", 0, 0]]}  # fmt: skip
    return {
        "class_name": "Model",
        "config": config,
        "keras_version": "2.4.0",
        "backend": "tensorflow",
    }


@cache
def _configs() -> tuple[Any, ...]:
    return (CONFIG, _functional(), _older())


def _config(how: bytes) -> None:
    if how:
        _judge(changed(_configs()[how[0] % len(_configs())], how[1:]), _WRITERS)


@cache
def _manifests() -> tuple[Any, ...]:
    member = MemberRecord("config.json", 1, 2)
    file = FileRecord("m.keras", 10, "0" * 64, "xxh3:" + "0" * 32, (member,))
    record = TensorRecord(
        "layers/d/vars/0", TensorSpec((2,), "float32"), name="d/kernel", layer="layers/d",
        digest="xxh3:" + "1" * 32, nonfinite=0, extent=Extent("m.keras", 0, 8), trainable=True,
    )  # fmt: skip
    layer = LayerRecord("layers/d", "d", "Dense", "xxh3:1", ((("layers/i", 0, 0),),), 1)
    made = Manifest(
        "keras_zip", (file,), Table({record.key: record}, {layer.key: layer}), companion=file,
        training={"metrics": {"a": 1.0}}, architecture=_functional(),
    )  # fmt: skip
    orbax = GOLDEN / "orbax" / "0.manifest.json"
    return made.to_dict(), json.loads(orbax.read_text(encoding="utf-8"))


def _manifest(how: bytes) -> None:
    """One whose digest is right, so that what it says is looked at."""
    if not how:
        return
    told = changed(_manifests()[how[0] % len(_manifests())], how[1:])
    told.pop("digest", None)
    with contextlib.suppress(KerasguardError):
        told["digest"] = digest(told)
    with contextlib.suppress(KerasguardError):
        found = Manifest.from_json(json.dumps(told))
        assert Manifest.from_json(found.to_json()).to_json() == found.to_json()
        sidecar.describes(found, _folder() / "nothing.keras")
        list(doubts(found.architecture))


def _manifest_bytes(data: bytes) -> None:
    path = _folder() / "m.keras.manifest.json"
    path.write_bytes(data)
    with contextlib.suppress(KerasguardError):
        sidecar.read(path.with_name("m.keras"))


def _json(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        strict_json(data, constants=True)


def _code(data: bytes) -> None:
    for layout in LAYOUTS:
        with contextlib.suppress(MalformedError):
            parse_code(data, layout)
    text = base64.b64encode(data).decode()
    for form in ([text, None, None], {"class_name": "__lambda__", "config": {"code": text}}):
        with contextlib.suppress(NotUnderstoodError):
            str(read_function(form).source)


def _keras(data: bytes) -> None:
    """The config and the weights of a sound archive: the first bytes tell where one ends."""
    end = int.from_bytes(data[:2], "little")
    config, weights = data[2 : 2 + end], data[2 + end :]
    path = _folder() / "m.keras"
    path.write_bytes(zipped({"config.json": config, "model.weights.h5": weights}))
    look_at(path)


def _zip(data: bytes) -> None:
    path = _folder() / "m.keras"
    path.write_bytes(with_right_crcs(data))
    look_at(path)


def with_right_crcs(data: bytes) -> bytes:
    """A zip archive whose directory tells the CRC-32 that each stored member has."""
    made, at = bytearray(data), data.find(b"PK\1\2")
    while at >= 0 and at + 46 <= len(data):
        method, packed, name, header = (
            *struct.unpack_from("<H", data, at + 10),
            *struct.unpack_from("<L", data, at + 20),
            *struct.unpack_from("<H", data, at + 28),
            *struct.unpack_from("<L", data, at + 42),
        )
        if header + 30 <= len(data):
            lengths = struct.unpack_from("<2H", data, header + 26)
            start = header + 30 + sum(lengths)
            content = data[start : start + packed]
            if method == 8:
                with contextlib.suppress(zlib.error):
                    content = zlib.decompressobj(-15).decompress(content, 1 << 20)
            struct.pack_into("<L", made, at + 16, zlib.crc32(content))
        at = data.find(b"PK\1\2", at + 46 + name)
    return bytes(made)


def _index(data: bytes) -> None:
    """An index beside sound data: the first byte tells of which checkpoint."""
    path = _folder() / "c.index"
    path.write_bytes(with_right_blocks(data[1:]))
    tensors = _tensor_files()[data[0] % len(_tensor_files()) if data else 0]
    (_folder() / "c.data-00000-of-00001").write_bytes(tensors)
    look_at(path.with_name("c"))


@cache
def _tensor_files() -> tuple[bytes, ...]:
    return tuple(p.read_bytes() for p in sorted((GOLDEN / "tf_checkpoint").glob("*.data-*")))


def with_right_blocks(data: bytes) -> bytes:
    """A table whose blocks have the checksums that their bytes need."""
    made = bytearray(data)
    with contextlib.suppress(WireError, IndexError):
        footer = data[-48:]
        _, at = varint(footer, 0)
        _, at = varint(footer, at)
        offset, at = varint(footer, at)
        length, _ = varint(footer, at)
        _seal(made, offset, length)
        block, at = bytes(made[offset : offset + length]), 0
        while at < length - 8:
            _, at = varint(block, at)
            own, at = varint(block, at)
            size, at = varint(block, at)
            start, after = varint(block, at + own)
            _seal(made, start, varint(block, after)[0])
            at += own + size
    return bytes(made)


def _seal(made: bytearray, offset: int, length: int) -> None:
    end = offset + length + 1
    if end + 4 <= len(made):
        made[end : end + 4] = masked_crc(bytes(made[offset:end])).to_bytes(4, "little")


@cache
def _bundles() -> tuple[tuple[dict[str, Any], bytes | None], ...]:
    """Tensors and object graphs of checkpoints that TensorFlow wrote."""
    found: list[tuple[dict[str, Any], bytes | None]] = []
    for index in sorted((GOLDEN / "tf_checkpoint").glob("*.index")):
        bundle = Bundle(index.with_suffix(""))
        tensors = {n: bundle.read(n) for n in bundle.entries if bundle.entries[n].dtype != 7}
        graph = bundle.strings(_GRAPH)[0] if _GRAPH in bundle.entries else None
        found.append((tensors, graph))
        bundle.close()
    return tuple(found)


def _bundle(how: bytes) -> None:
    """A sound table with a few other bytes in its entries or its object graph."""
    if len(how) < 7:
        return
    tensors, graph = _bundles()[how[0] % len(_bundles())]
    path = _folder() / "c"
    if graph is not None:
        graph = edited(graph, how[2:] if how[1] % 2 else b"")
    write_bundle(path, tensors, graph=graph)
    if how[1] % 3 == 0:
        index = path.with_name("c.index")
        with OpenedFile(index) as file:
            items = dict(read_table(file))
        for at in range(2, len(how) - 5, 5):
            key = sorted(items)[how[at] % len(items)]
            items[key] = edited(items[key], how[at + 1 : at + 5])
        index.write_bytes(table(items))
    look_at(path)


def edited(data: bytes, how: bytes) -> bytes:
    """Bytes with one other, one more or one less for every four bytes that tell it."""
    made = bytearray(data)
    for at in range(0, len(how) - 3, 4):
        place = (how[at] | how[at + 1] << 8) % (len(made) + 1)
        kind, byte = how[at + 2] % 3, how[at + 3]
        made[place : place + (kind != 1)] = [byte] if kind != 2 else []
    return bytes(made)


def _saved_model(data: bytes) -> None:
    """The program and Keras' account of it: the first bytes tell where one ends."""
    folder = _folder() / "saved"
    (folder / "variables").mkdir(parents=True, exist_ok=True)
    end = int.from_bytes(data[:3], "little")
    (folder / "saved_model.pb").write_bytes(data[3 : 3 + end])
    (folder / "keras_metadata.pb").write_bytes(data[3 + end :])
    tensors, graph = _bundles()[4]
    write_bundle(folder / "variables" / "variables", tensors, graph=graph)
    look_at(folder)


def _shards(data: bytes) -> None:
    path = _folder() / "s.weights.json"
    path.write_bytes(data)
    (_folder() / "s_00000.weights.h5").write_bytes(_weights()[0])
    look_at(path)


@cache
def _weights() -> tuple[bytes, ...]:
    tensors = {"layers/dense/vars/0": np.ones((3, 4), "float32"), "vars": np.ones(2, "int8")}
    names = {"layers/dense/vars": "body"}
    first = hdf5(tensors, names)
    packed = hdf5({"layers/dense/vars/0": np.ones((3, 4), "float32")}, libver="latest")
    return first, packed, _legacy()


def _legacy() -> bytes:
    import h5py

    raw = io.BytesIO()
    with h5py.File(raw, "w") as file:
        file.attrs["model_config"] = json.dumps(CONFIG)
        file.attrs["keras_version"] = "2.4.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"body"]
        group.create_group("body").attrs["weight_names"] = [b"body/kernel:0"]
        group["body/body/kernel:0"] = np.ones((3, 4), "float32")
        more = group.create_dataset("body/more", data=np.ones((8, 8)), compression="gzip")
        more.attrs["dtype"] = "bfloat16"
    return raw.getvalue()


def _arrays() -> bytes:
    raw = io.BytesIO()
    arrays: dict[str, Any] = {"head/kernel": np.ones((2, 3), "float32"), "head/bias": np.ones(3)}
    np.savez(raw, **arrays)
    return raw.getvalue()


def _tensors() -> bytes:
    array = np.ones((2, 3), "float32")
    return safetensors.pack({"head/kernel": array, "head/bias": array[0]}, "x")[0]


def _codes() -> list[bytes]:
    packed = (GOLDEN / "lambdas" / "bytecode.json.xz").read_bytes()
    told = json.loads(lzma.decompress(packed))
    return [base64.b64decode(one[0]) for made in told.values() for one in made[::8]]


def _programs() -> list[bytes]:
    found = []
    for folder in sorted((GOLDEN / "saved_model").glob("*-mlp")):
        program = (folder / "saved_model.pb").read_bytes()
        metadata = folder / "keras_metadata.pb"
        more = metadata.read_bytes() if metadata.exists() else b""
        found.append(len(program).to_bytes(3, "little") + program + more)
    return found


def _archive() -> bytes:
    members = {"metadata.json": b'{"keras_version": "3.15.1"}', "assets/a/b.txt": b"x"}
    config = {"config.json": json.dumps(CONFIG).encode(), "model.weights.h5": _weights()[0]}
    return zipped(members | config)


def _apart() -> bytes:
    config = json.dumps(_functional()).encode()
    return len(config).to_bytes(2, "little") + config + _weights()[0]


def _texts() -> list[bytes]:
    return [json.dumps(told).encode() for told in (*_configs(), *_manifests())]


def _indexes() -> list[bytes]:
    found = sorted((GOLDEN / "tf_checkpoint").glob("*.index"))
    return [bytes([number]) + path.read_bytes() for number, path in enumerate(found)]


TARGETS = {
    "json": Target(_json, _texts),
    "config": Target(_config, _any_seed, structured=True),
    "manifest": Target(_manifest, _any_seed, structured=True),
    "manifest_bytes": Target(_manifest_bytes, lambda: _texts()[3:]),
    "bytecode": Target(_code, _codes),
    "zip": Target(_zip, lambda: [_archive()]),
    "keras": Target(_keras, lambda: [_apart()]),
    "weights_h5": Target(_file("m.weights.h5"), lambda: list(_weights()[:2])),
    "legacy_h5": Target(_file("m.h5"), lambda: [_weights()[2]]),
    "shards": Target(
        _shards, lambda: [b'{"weight_map": {"/layers/dense/vars": "s_00000.weights.h5"}}']
    ),
    "npz": Target(lambda data: _file("m.npz")(with_right_crcs(data)), lambda: [_arrays()]),
    "safetensors": Target(_file("m.safetensors"), lambda: [_tensors()]),
    "tf_index": Target(_index, _indexes),
    "tf_checkpoint": Target(_bundle, _any_seed, structured=True),
    "saved_model": Target(_saved_model, _programs),
}
"""By name, every reader of what a stranger may have written."""
