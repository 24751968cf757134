from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tf_bundles import graph, message, write_bundle

from kerasguard.errors import CheckpointNotFoundError, CorruptCheckpointError
from kerasguard.formats.tensorflow.object_graph import parse, path, reach
from kerasguard.formats.tensorflow.protobuf_wire import WireError
from kerasguard.formats.tf_checkpoint import TFCheckpoint, checkpoint_prefix
from kerasguard.tensors import LayerRecord, Table, TensorRecord

GOLDEN = Path(__file__).parent.parent / "golden" / "tf_checkpoint"
NAMES = sorted(file.stem for file in GOLDEN.glob("*.npz"))
VALUE = ".ATTRIBUTES/VARIABLE_VALUE"
ONE = np.ones(2, "float32")


@pytest.fixture
def opened() -> Iterator[Callable[[Path], TFCheckpoint]]:
    made: list[TFCheckpoint] = []

    def open_(path: Path) -> TFCheckpoint:
        made.append(TFCheckpoint(path))
        return made[-1]

    yield open_
    for checkpoint in made:
        checkpoint.close()


Open = Callable[[Path], TFCheckpoint]


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_of_a_golden_file_is_found_bit_equal(opened: Open, name: str) -> None:
    assert_weights(opened(GOLDEN / name), GOLDEN / f"{name}.npz")
    assert opened(GOLDEN / name).verify_container() == []


def test_every_checkpoint_of_ten_tensorflow_versions_reads_bit_equal(
    repository: Path, tmp_path: Path, opened: Open
) -> None:
    archives = sorted((repository / "tests/golden/writers").glob("*.tar.xz"))
    count = 0
    for archive in archives:
        with tarfile.open(archive) as tar:
            wanted = [m for m in tar.getmembers() if "/ckpt/" in m.name or m.name.endswith("npz")]
            tar.extractall(tmp_path, wanted, filter="data")
    for index in sorted(tmp_path.glob("*/ckpt/*.index")):
        name = index.stem.removesuffix("-1")
        with TFCheckpoint(index.with_suffix("")) as checkpoint:
            assert_weights(checkpoint, index.parent.parent / f"{name}.npz")
        count += 1
    assert len(archives) == 10
    assert count == 173


@pytest.mark.keras
def test_tensorflows_own_reader_agrees(opened: Open) -> None:
    import tensorflow as tf

    for name in NAMES:
        reader = tf.train.load_checkpoint(str(GOLDEN / name))
        bundle = opened(GOLDEN / name).bundle
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        assert set(bundle.entries) == set(shapes)
        for key, shape in shapes.items():
            spec = bundle.spec(key)
            if spec is None:
                assert bundle.strings(key) == [reader.get_tensor(key)]
                continue
            assert (list(spec.shape), spec.dtype) == (shape, dtypes[key].name)
            assert bundle.read(key).tobytes() == reader.get_tensor(key).tobytes()


def test_reading_imports_no_framework() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from kerasguard.formats.tf_checkpoint import TFCheckpoint\n"
        f"c = TFCheckpoint(Path({str(GOLDEN / NAMES[0])!r})); c.table(); c.verify_container()\n"
        "print([m for m in ('tensorflow', 'keras', 'google.protobuf') if m in sys.modules])"
    )
    root = GOLDEN.parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_extents_hold_the_bytes_that_read_returns(opened: Open) -> None:
    checkpoint = opened(GOLDEN / "tf2.3.1-optimizer_state")
    for key, record in checkpoint.table().tensors.items():
        extent = record.extent
        assert extent is not None
        data = checkpoint.files()[extent.file].pread(extent.offset, extent.length)
        assert data == checkpoint.read(key).tobytes()
        assert checkpoint.stored_crc(key) is not None


def test_layers_of_a_functional_model_are_told_by_order(opened: Open) -> None:
    table = opened(GOLDEN / "tf2.3.1-optimizer_state").table()
    assert table.addressing == "order"
    assert _weights(table) == [
        "layer_with_weights-0/kernel",
        "layer_with_weights-0/bias",
        "layer_with_weights-1/kernel",
        "layer_with_weights-1/bias",
    ]
    first = table.tensors["layer_with_weights-0/kernel"]
    assert (first.name, first.variable, first.layer) == (
        "dense/kernel",
        "kernel",
        "layer_with_weights-0",
    )
    names = [layer.name for layer in table.layers.values()]
    assert names == ["dense", "dense_1", "adam"]


def test_layers_of_nested_models_keep_their_own_order(opened: Open) -> None:
    for name in ("tf1.12.3-nested", "tf2.21.0-nested"):
        table = opened(GOLDEN / name).table()
        units = list(dict.fromkeys(r.layer for r in table.tensors.values() if r.role == "weight"))
        assert table.layers[units[0]].name == "norm"
        assert [table.tensors[key].variable for key in _weights(table)] == [
            "gamma", "beta", "moving_mean", "moving_variance", *["kernel", "bias"] * 3,
        ]  # fmt: skip
        assert table.addressing == "order"
        assert all(table.layers[unit].position > 0 for unit in units)


def test_what_is_inside_a_wrapper_stays_with_it(opened: Open) -> None:
    table = opened(GOLDEN / "tf2.15.1-bidir").table()
    units = dict.fromkeys(r.layer for r in table.tensors.values())
    assert list(units) == [f"layer_with_weights-{n}" for n in range(3)]
    names = {key: layer.name for key, layer in table.layers.items()}
    assert names["layer_with_weights-0"] == "bidirectional"
    assert names["layer_with_weights-0/forward_layer"] == "forward_lstm"
    assert names["layer_with_weights-0/forward_layer/cell"] == "lstm_cell"
    assert names["layer_with_weights-1"] == "time_distributed"


def test_tensorflow_1_12_tells_classes_and_the_architecture(opened: Open) -> None:
    checkpoint = opened(GOLDEN / "tf1.12.3-nested")
    config = checkpoint.architecture()
    assert config is not None
    assert config["class_name"] == "Model"
    assert config["config"]["name"] == "outer"
    layers = checkpoint.table().layers
    told = [(layer.name, layer.class_name) for layer in layers.values()]
    assert told == [
        ("encoder", "Model"),
        ("norm", "BatchNormalization"),
        ("proj", "Dense"),
        ("head", "Sequential"),
        ("proj", "Dense"),
        ("out", "Dense"),
    ]
    assert opened(GOLDEN / "tf2.15.1-bidir").architecture() is None


def test_a_cells_variables_name_the_layer_around_it(opened: Open) -> None:
    """TensorFlow 1 called them `lstm/kernel`; the cell's own name is in its config."""
    layers = opened(GOLDEN / "tf1.12.3-lstm").table().layers
    assert layers["layer_with_weights-1"].name == "lstm"
    assert layers["layer_with_weights-1/cell"] == LayerRecord(
        "layer_with_weights-1/cell", "lstm_cell", "LSTMCell"
    )


@pytest.mark.parametrize(
    "name", ["tf2.3.1-optimizer_state", "tf2.15.1-optimizer_state", "tf2.21.0-optimizer_state"]
)
def test_slots_of_three_generations_of_adam_are_told_alike(opened: Open, name: str) -> None:
    table = opened(GOLDEN / name).table()
    weights = _weights(table)
    state = {(r.slot, r.slot_of) for r in table.tensors.values() if r.role == "optimizer"}
    assert state == {
        ("iteration", ""),
        ("learning_rate", ""),
        *((slot, weight) for slot in ("momentum", "velocity") for weight in weights),
    }
    assert table.layers["optimizer"].name == "adam"


def test_settings_that_were_variables_once_are_no_state_of_the_optimizer(opened: Open) -> None:
    table = opened(GOLDEN / "tf2.3.1-optimizer_state").table()
    state = [key for key, record in table.tensors.items() if record.role == "state"]
    assert state == ["optimizer/beta_1", "optimizer/beta_2", "optimizer/decay"]


def test_a_checkpoint_of_keras_3_is_relative_to_its_model(opened: Open) -> None:
    checkpoint = opened(GOLDEN / "tf2.21.0-optimizer_state")
    table = checkpoint.table()
    assert checkpoint.root == "model"
    assert checkpoint.writer() == {"keras": "3", "backend": "tensorflow"}
    # The shortest path to these leads through the optimizer; the layers' path is the better one.
    assert _weights(table) == [
        "_functional/_operations/1/_kernel",
        "_functional/_operations/1/bias",
        "_functional/_operations/2/_kernel",
        "_functional/_operations/2/bias",
    ]
    assert [table.tensors[key].variable for key in _weights(table)] == ["kernel", "bias"] * 2
    assert table.tensors["save_counter"].role == "state"


def test_attributes_of_a_subclassed_model_are_its_keys(tmp_path: Path, opened: Open) -> None:
    nodes = graph(
        ({"zeta": 1, "alpha": 2, "blocks": 3}, {}),
        ({"kernel": 5}, {}),
        ({"kernel": 6, "bias": 7}, {}),
        ({"0": 4}, {}),
        ({"kernel": 8}, {}),
        ({}, {"VARIABLE_VALUE": ("net/dense_1/kernel", f"zeta/kernel/{VALUE}")}),
        ({}, {"VARIABLE_VALUE": ("net/dense/kernel", f"alpha/kernel/{VALUE}")}),
        ({}, {"VARIABLE_VALUE": ("net/dense/bias", f"alpha/bias/{VALUE}")}),
        ({}, {"VARIABLE_VALUE": ("net/head/kernel", f"blocks/0/kernel/{VALUE}")}),
    )
    keys = ("zeta/kernel", "alpha/kernel", "alpha/bias", "blocks/0/kernel")
    prefix = write_bundle(tmp_path / "x", {f"{key}/{VALUE}": ONE for key in keys}, graph=nodes)
    table = opened(prefix).table()
    assert table.addressing == "key"
    assert _weights(table) == ["alpha/kernel", "alpha/bias", "blocks/0/kernel", "zeta/kernel"]
    assert {r.layer: table.layers[r.layer].name for r in table.tensors.values()} == {
        "alpha": "dense",
        "blocks/0": "head",
        "zeta": "dense_1",
    }


def test_names_that_several_layers_share_name_none_of_them(tmp_path: Path, opened: Open) -> None:
    """Keras 3 names the variables of a subclassed model's layers after the model."""
    nodes = graph(
        ({"a": 1, "b": 2}, {}),
        ({"_kernel": 3}, {}),
        ({"_kernel": 4}, {}),
        ({}, {"VARIABLE_VALUE": ("sub/kernel", f"a/_kernel/{VALUE}")}),
        ({}, {"VARIABLE_VALUE": ("sub/kernel", f"b/_kernel/{VALUE}")}),
    )
    tensors = {f"{key}/_kernel/{VALUE}": ONE for key in "ab"}
    table = opened(write_bundle(tmp_path / "x", tensors, graph=nodes)).table()
    assert [layer.name for layer in table.layers.values()] == ["", ""]
    assert [record.variable for record in table.tensors.values()] == ["kernel", "kernel"]


def test_metrics_seeds_and_counters_are_no_weights(tmp_path: Path, opened: Open) -> None:
    names = {
        "layer_with_weights-0/kernel": "dense/kernel",
        "layer_with_weights-0/seed_generator/_state": "seed_generator/seed_generator_state",
        "layer-1/_rng/_state_var": "Variable",
        "layer-2/_vectorize_layer/num_elements": "num_elements",
        "loss_tracker/total": "total",
        "keras_api/metrics/0/count": "count",
        "layer_with_weights-1/keras_api/states/0": "lstm/Variable",
        "save_counter": "save_counter",
    }
    prefix = write_bundle(
        tmp_path / "x", {f"{key}/{VALUE}": ONE for key in names}, graph=_graph_of(names)
    )
    roles = {key: record.role for key, record in opened(prefix).table().tensors.items()}
    assert roles == {
        "layer_with_weights-0/kernel": "weight",
        "layer_with_weights-0/seed_generator/_state": "seed",
        "layer-1/_rng/_state_var": "seed",
        "layer-2/_vectorize_layer/num_elements": "state",
        "loss_tracker/total": "metric",
        "keras_api/metrics/0/count": "metric",
        "layer_with_weights-1/keras_api/states/0": "state",
        "save_counter": "state",
    }


def test_the_count_of_an_adapted_normalization_is_a_weight(tmp_path: Path, opened: Open) -> None:
    names = {f"layer_with_weights-0/{name}": name for name in ("mean", "variance", "count")}
    prefix = write_bundle(
        tmp_path / "x", {f"{key}/{VALUE}": ONE for key in names}, graph=_graph_of(names)
    )
    assert set(_weights(opened(prefix).table())) == set(names)


@pytest.mark.parametrize(
    ("scopes", "names"),
    [
        (
            ["stem", "block/depthwise", "block/depthwise/norm"],
            ["stem", "block_depthwise", "block_depthwise_norm"],
        ),
        (["model/stem", "model/head"], ["stem", "head"]),
    ],
)
def test_slashes_in_a_layers_name_are_no_scopes_of_a_model(
    tmp_path: Path, opened: Open, scopes: list[str], names: list[str]
) -> None:
    told = {f"layer_with_weights-{n}/kernel": f"{s}/kernel" for n, s in enumerate(scopes)}
    prefix = write_bundle(
        tmp_path / "x", {f"{key}/{VALUE}": ONE for key in told}, graph=_graph_of(told)
    )
    assert [layer.name for layer in opened(prefix).table().layers.values()] == names


def test_two_models_in_one_checkpoint_keep_their_prefixes(tmp_path: Path, opened: Open) -> None:
    names = {
        "generator/layer_with_weights-0/kernel": "g/kernel",
        "discriminator/layer_with_weights-0/kernel": "d/kernel",
        "save_counter": "save_counter",
    }
    prefix = write_bundle(
        tmp_path / "x", {f"{key}/{VALUE}": ONE for key in names}, graph=_graph_of(names)
    )
    checkpoint = opened(prefix)
    assert checkpoint.root == ""
    assert checkpoint.table().addressing == "key"
    assert set(_weights(checkpoint.table())) == set(names) - {"save_counter"}


def test_tensors_that_no_object_claims_are_state(tmp_path: Path, opened: Open) -> None:
    nodes = graph(({}, {}))
    prefix = write_bundle(tmp_path / "x", {"table/.ATTRIBUTES/table-values": ONE}, graph=nodes)
    records = list(opened(prefix).table().tensors.values())
    assert [(r.key, r.role) for r in records] == [("table/.ATTRIBUTES/table-values", "state")]


def test_a_name_based_checkpoint_is_told_by_name(tmp_path: Path, opened: Open) -> None:
    names = [
        "dense/kernel", "dense/kernel/Adam", "dense/kernel/Adam_1", "rnn/lstm_cell/kernel",
        "training/Adam/dense/kernel/m", "beta1_power", "global_step", "Adam/iter",
        "dense/kernel/ExponentialMovingAverage",
    ]  # fmt: skip
    table = opened(write_bundle(tmp_path / "x", dict.fromkeys(names, ONE))).table()
    assert table.addressing == "name"
    told = {r.key: (r.role, r.layer, r.slot, r.slot_of) for r in table.tensors.values()}
    assert told == {
        "dense/kernel": ("weight", "dense", "", ""),
        "rnn/lstm_cell/kernel": ("weight", "rnn", "", ""),
        "dense/kernel/Adam": ("optimizer", "", "Adam", "dense/kernel"),
        "dense/kernel/Adam_1": ("optimizer", "", "Adam_1", "dense/kernel"),
        "training/Adam/dense/kernel/m": ("optimizer", "", "m", "dense/kernel"),
        "beta1_power": ("optimizer", "", "", ""),
        "Adam/iter": ("optimizer", "", "", ""),
        "global_step": ("state", "", "", ""),
        "dense/kernel/ExponentialMovingAverage": ("state", "", "", ""),
    }


def test_a_prefix_that_looks_like_hdf5_is_recognised(tmp_path: Path, opened: Open) -> None:
    for name in ("weights.hdf5", "a.h5", "model.weights.h5", "b.ckpt", "ckpt-3", "v1.2"):
        prefix = write_bundle(tmp_path / name, {"a": ONE})
        assert TFCheckpoint.recognises(prefix)
        assert opened(prefix).path == prefix


def test_index_data_file_folder_and_state_file_lead_to_the_same_prefix(tmp_path: Path) -> None:
    prefix = write_bundle(tmp_path / "ckpt-3", {"a": ONE})
    write_bundle(tmp_path / "ckpt-2", {"a": ONE})
    state = tmp_path / "checkpoint"
    told = ("ckpt-3", "/another/place/ckpt-3", "C:\\\\\\\\runs\\\\\\\\ckpt-3")
    for where in told:
        state.write_text(f'model_checkpoint_path: "{where}"\nall_model_checkpoint_paths: "x"\n')
        for given in (
            prefix,
            tmp_path,
            state,
            tmp_path / "ckpt-3.index",
            tmp_path / "ckpt-3.data-00000-of-00001",
        ):
            assert checkpoint_prefix(given) == prefix, (where, given)


def test_what_is_no_checkpoint_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "x.index").write_bytes(b"no table" * 20)
    (tmp_path / "y").write_bytes(b"")
    write_bundle(tmp_path / "y", {"a": ONE})  # a file lies where the prefix points
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gone"\n')
    for name in ("x", "x.index", "y", "nothing", "", "checkpoint"):
        assert not TFCheckpoint.recognises(tmp_path / name), name
    with pytest.raises(CheckpointNotFoundError, match="nothing"):
        TFCheckpoint(tmp_path / "nothing")


def test_a_damaged_object_graph_is_refused(tmp_path: Path) -> None:
    bad = message((1, message((1, message((1, 7), (2, "child"))))))
    with pytest.raises(CorruptCheckpointError, match="object graph cannot be read: an edge"):
        TFCheckpoint(write_bundle(tmp_path / "x", {"a": ONE}, graph=bad))


def test_a_config_that_is_no_json_is_refused(tmp_path: Path, opened: Open) -> None:
    nodes = graph(({}, {"OBJECT_CONFIG_JSON": ("", "c")}))
    prefix = write_bundle(tmp_path / "x", {"a": ONE}, graph=nodes, strings={"c": b"{"})
    with pytest.raises(CorruptCheckpointError, match="c cannot be read"):
        opened(prefix).architecture()


def test_a_changed_byte_is_a_problem_and_stops_only_its_own_tensor(
    tmp_path: Path, opened: Open
) -> None:
    name = "tf2.15.1-bidir"
    for file in GOLDEN.glob(f"{name}.*"):
        shutil.copy(file, tmp_path / file.name)
    prefix = tmp_path / name
    records = opened(prefix).table().tensors
    extent = records["layer_with_weights-1/layer/kernel"].extent
    assert extent is not None
    data = bytearray((tmp_path / extent.file).read_bytes())
    data[extent.offset] ^= 1
    (tmp_path / extent.file).write_bytes(data)
    checkpoint = opened(prefix)
    assert len(checkpoint.verify_container()) == 1
    for key in records:
        if key == "layer_with_weights-1/layer/kernel":
            with pytest.raises(CorruptCheckpointError, match="layer_with_weights-1/layer/kernel"):
                checkpoint.read(key)
        else:
            checkpoint.read(key)


def test_no_changed_byte_of_a_data_file_goes_unnoticed(tmp_path: Path) -> None:
    name = "tf1.12.3-nested"
    shutil.copy(GOLDEN / f"{name}.index", tmp_path / "x.index")
    good = (GOLDEN / f"{name}.data-00000-of-00001").read_bytes()
    for position in range(0, len(good), 37):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        (tmp_path / "x.data-00000-of-00001").write_bytes(bad)
        try:
            with TFCheckpoint(tmp_path / "x") as checkpoint:
                assert checkpoint.verify_container(), position
        except CorruptCheckpointError:
            pass


def test_objects_that_contain_each_other_are_no_problem() -> None:
    nodes = parse(graph(({"a": 1, "root": 0}, {}), ({"parent": 0, "b": 1}, {})))
    assert path(reach(nodes, 0), 1) == ("a",)


def test_objects_nested_without_end_are_refused() -> None:
    nodes = parse(graph(*(({"x": n + 1}, {}) for n in range(1000)), ({}, {})))
    with pytest.raises(WireError, match="nested more than"):
        reach(nodes, 0)


def test_thousands_of_layers_are_described_in_order(tmp_path: Path, opened: Open) -> None:
    count = 3_000
    layers = range(1, count + 1)
    nodes = graph(
        ({f"layer_with_weights-{n - 1}": n for n in layers}, {}),
        *(({"kernel": count + n, "bias": 2 * count + n}, {}) for n in layers),
        *(
            ({}, {"VARIABLE_VALUE": (f"d{n}/{v}", f"layer_with_weights-{n - 1}/{v}/{VALUE}")})
            for v in ("kernel", "bias")
            for n in layers
        ),
    )
    scalar = np.zeros((), "float32")
    tensors = {
        f"layer_with_weights-{n - 1}/{v}/{VALUE}": scalar
        for n in layers
        for v in ("kernel", "bias")
    }
    table = opened(write_bundle(tmp_path / "x", tensors, graph=nodes)).table()
    assert len(_weights(table)) == 2 * count
    assert _weights(table)[20] == "layer_with_weights-10/kernel"


def test_deep_orientations_network_is_read_whole(shared: Path, opened: Open) -> None:
    folder = shared / "fixtures" / "deep_orientation" / "checkpoint"
    checkpoint = opened(folder / "weights_valid_0268.hdf5")
    table = checkpoint.table()
    units = dict.fromkeys(r.layer for r in table.tensors.values())
    assert len(units) == 18
    assert [table.layers[u].class_name for u in units] == [
        *["Conv2D", "BatchNormalization"] * 8, "Dense", "Dense",
    ]  # fmt: skip
    assert checkpoint.verify_container() == []
    config: Mapping[str, Any] = checkpoint.architecture() or {}
    assert len(config["config"]["layers"]) == 34
    assert sum(r.spec.nbytes for r in table.tensors.values()) > 3_000_000


def assert_weights(checkpoint: TFCheckpoint, arrays: Path) -> None:
    """The table's weights are the archive's arrays `w0000`, ..., no more and no fewer."""
    with np.load(arrays) as archive:
        wanted = sorted(_bits(archive[key]) for key in archive.files if key.startswith("w"))
    weights = [r for r in checkpoint.table().tensors.values() if r.role == "weight"]
    found = []
    for record in weights:
        array = checkpoint.read(record.key)
        assert (tuple(array.shape), array.dtype.name) == (record.spec.shape, record.spec.dtype)
        found.append(_bits(array))
    assert sorted(found) == wanted, checkpoint.path
    assert all(_placed(record, checkpoint.table()) for record in weights)


def _bits(array: Any) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, array.tobytes()


def _placed(record: TensorRecord, table: Table) -> bool:
    return record.layer in table.layers and record.key.startswith(f"{record.layer}/")


def _weights(table: Table) -> list[str]:
    return [key for key, record in table.tensors.items() if record.role == "weight"]


def _graph_of(names: Mapping[str, str]) -> bytes:
    """A graph in which `/` in keys leads from object to object; values are full names."""
    paths = [""]
    for key in names:
        parts = key.split("/")
        paths += ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    paths = list(dict.fromkeys(paths))
    rank = {path: n for n, path in enumerate(paths)}
    return graph(
        *(
            (
                {
                    p.rsplit("/", 1)[-1]: rank[p]
                    for p in paths
                    if p and (p.rsplit("/", 1)[0] if "/" in p else "") == path
                },
                {"VARIABLE_VALUE": (names[path], f"{path}/{VALUE}")} if path in names else {},
            )
            for path in paths
        )
    )
