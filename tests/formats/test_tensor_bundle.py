from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from tf_bundles import bundle_entry, masked_crc, message, number, table, write_bundle

from kerasguard.errors import CheckpointError, CorruptCheckpointError, UnknownFormatError
from kerasguard.formats.tensorflow.protobuf_wire import WireError, fields, signed, varint
from kerasguard.formats.tensorflow.sorted_table import unmasked
from kerasguard.formats.tensorflow.tensor_bundle import Bundle
from kerasguard.tensors import Extent, TensorSpec

GOLDEN = Path(__file__).parent.parent / "golden" / "tf_checkpoint"
SMALL = {"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.array(7, dtype="int64")}
EVERY_DTYPE = [
    "float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
    "uint16", "uint32", "uint64", "bool", "complex64", "complex128", "float8_e4m3fn",
]  # fmt: skip


@pytest.mark.parametrize("dtype", EVERY_DTYPE)
def test_every_dtype_reads_back_bit_equal(tmp_path: Path, dtype: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    array = np.arange(24).reshape(2, 3, 4).astype(kind)
    bundle = Bundle(write_bundle(tmp_path / "x", {"t": array}))
    assert bundle.spec("t") == TensorSpec((2, 3, 4), dtype)
    found = bundle.read("t")
    assert found.dtype == kind
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()
    assert list(bundle.problems()) == []


def test_scalars_and_empty_tensors_keep_their_shape(tmp_path: Path) -> None:
    empty = np.zeros((3, 0, 2), "float32")
    bundle = Bundle(write_bundle(tmp_path / "x", {"empty": empty, **SMALL}))
    assert bundle.read("b").shape == ()
    assert bundle.read("b") == 7
    assert bundle.read("empty").shape == (3, 0, 2)


def test_extents_point_at_the_bytes_in_every_shard(tmp_path: Path) -> None:
    arrays = {f"t{n}": np.full(n + 1, n, "float64") for n in range(5)}
    bundle = Bundle(write_bundle(tmp_path / "x", arrays, shards=2))
    for name, array in arrays.items():
        extent = bundle.extent(name)
        assert extent is not None
        data = (tmp_path / extent.file).read_bytes()
        assert data[extent.offset : extent.offset + extent.length] == array.tobytes()
    assert {bundle.extent(name).file for name in arrays} == {  # type: ignore[union-attr]
        "x.data-00000-of-00002",
        "x.data-00001-of-00002",
    }


def test_strings_are_decoded_and_are_no_tensors(tmp_path: Path) -> None:
    bundle = Bundle(write_bundle(tmp_path / "x", SMALL, strings={"text": "Grüße".encode()}))
    assert bundle.strings("text") == ["Grüße".encode()]
    assert bundle.spec("text") is None
    assert bundle.extent("text") is None
    with pytest.raises(CorruptCheckpointError, match=r"a: .* not strings"):
        bundle.strings("a")


def test_a_partitioned_variable_is_joined(tmp_path: Path) -> None:
    bundle = Bundle(_partitioned(tmp_path / "x", [(0, 2), (2, 3)]))
    assert bundle.spec("w") == TensorSpec((5, 2), "float32")
    assert bundle.extent("w") is None
    assert bundle.stored_crc("w") is None
    np.testing.assert_array_equal(bundle.read("w"), np.arange(10.0).reshape(5, 2))
    assert list(bundle.problems()) == []


@pytest.mark.parametrize(
    ("cuts", "said"),
    [
        ([(0, 2)], "hold 4 elements"),
        ([(0, 3), (2, 3)], "overlaps"),
        ([(0, 2), (4, 3)], "does not fit"),
    ],
)
def test_slices_that_do_not_cover_a_variable_are_refused(
    tmp_path: Path, cuts: list[tuple[int, int]], said: str
) -> None:
    bundle = Bundle(_partitioned(tmp_path / "x", cuts))
    with pytest.raises(CorruptCheckpointError, match=f"w: .*{said}"):
        bundle.read("w")
    assert any("w: " in line for line in bundle.problems())


def test_a_changed_byte_is_found_in_the_tensor_that_holds_it(tmp_path: Path) -> None:
    prefix = write_bundle(tmp_path / "x", SMALL)
    _flip(tmp_path / "x.data-00000-of-00001", 3)
    bundle = Bundle(prefix)
    with pytest.raises(CorruptCheckpointError, match="x: a: its bytes do not match the checksum"):
        bundle.read("a")
    assert bundle.read("b") == 7
    problems = list(bundle.problems())
    assert [line.partition(":")[0] for line in problems] == ["a"]


def test_the_stored_checksum_is_that_of_the_bytes(tmp_path: Path) -> None:
    bundle = Bundle(write_bundle(tmp_path / "x", SMALL))
    data = SMALL["a"].tobytes()
    assert bundle.stored_crc("a") == unmasked(masked_crc(data))


def test_no_flipped_bit_of_an_index_goes_unnoticed(tmp_path: Path) -> None:
    source = GOLDEN / "tf2.15.1-optimizer_state"
    data = (GOLDEN / f"{source.name}.data-00000-of-00001").read_bytes()
    (tmp_path / "x.data-00000-of-00001").write_bytes(data)
    good = (GOLDEN / f"{source.name}.index").read_bytes()
    truth = _content(source)
    quiet = []
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        (tmp_path / "x.index").write_bytes(bad)
        try:
            assert _content(tmp_path / "x") == truth, position
            quiet.append(position)
        except CheckpointError:
            pass
    # Only the unused list of meta blocks and the footer's padding may change without harm.
    assert len(quiet) < 60
    assert min(quiet) > len(good) - 120


def test_a_truncated_index_or_data_file_is_refused_by_name(tmp_path: Path) -> None:
    prefix = write_bundle(tmp_path / "x", SMALL)
    for name in ("x.index", "x.data-00000-of-00001"):
        whole = (tmp_path / name).read_bytes()
        for length in (0, 1, len(whole) // 2, len(whole) - 1):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises(CorruptCheckpointError, match=name.replace(".", r"\.")):
                Bundle(prefix)
        (tmp_path / name).write_bytes(whole)


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    prefix = write_bundle(tmp_path / "x", SMALL, shards=2)
    (tmp_path / "x.data-00001-of-00002").unlink()
    with pytest.raises(CorruptCheckpointError, match=r"x\.data-00001-of-00002 is missing"):
        Bundle(prefix)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"endianness": 1}, "big-endian"),
        ({"needs": 2}, "version 2"),
        ({"compression": 1}, "snappy"),
    ],
)
def test_what_this_reader_does_not_know_is_said(
    tmp_path: Path, how: dict[str, int], said: str
) -> None:
    prefix = write_bundle(tmp_path / "x", SMALL, **how)  # type: ignore[arg-type]
    with pytest.raises(UnknownFormatError, match=said):
        Bundle(prefix)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (bundle_entry(1, [2], b"12345678", shard=9), "data file 9 of 1"),
        (bundle_entry(1, [2], b"12345678", offset=1), "truncated"),
        (bundle_entry(1, [3], b"12345678"), "takes 12 bytes, but 8 are stored"),
        (bundle_entry(1, [-1], b"12345678"), r"its shape \[-1\] is invalid"),
        (bundle_entry(1, [1] * 99, b"1234"), "its shape .* is invalid"),
        (b"\x0a", "cannot be read"),
        (message((2, 5)), "cannot be read"),
    ],
)
def test_an_entry_that_cannot_be_true_is_refused(tmp_path: Path, entry: bytes, said: str) -> None:
    items = {b"": message((1, 1)), b"t": entry}
    (tmp_path / "x.index").write_bytes(table(items))
    (tmp_path / "x.data-00000-of-00001").write_bytes(b"12345678")
    with pytest.raises(CorruptCheckpointError, match=said):
        Bundle(tmp_path / "x")


def test_tensors_that_share_bytes_are_refused(tmp_path: Path) -> None:
    items = {
        b"": message((1, 1)),
        b"a": bundle_entry(1, [2], b"12345678"),
        b"b": bundle_entry(1, [1], b"5678", offset=4),
    }
    (tmp_path / "x.index").write_bytes(table(items))
    (tmp_path / "x.data-00000-of-00001").write_bytes(b"12345678")
    with pytest.raises(CorruptCheckpointError, match="b: its bytes overlap those of a"):
        Bundle(tmp_path / "x")


def test_a_partitioned_variable_of_absurd_size_asks_for_no_memory(tmp_path: Path) -> None:
    whole = message((1, b""))
    items = {
        b"": message((1, 1)),
        b"w": bundle_entry(1, [1 << 60], b"", slices=[whole]),
    }
    (tmp_path / "x.index").write_bytes(table(items))
    with pytest.raises(CorruptCheckpointError, match="0 of its 1 slices are present"):
        Bundle(tmp_path / "x").read("w")


def test_an_index_without_a_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.index").write_bytes(table({b"t": b""}))
    with pytest.raises(CorruptCheckpointError, match="no header"):
        Bundle(tmp_path / "x")


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**64 - 1])
def test_a_varint_is_read_back(value: int) -> None:
    data = number(value)
    assert varint(data, 0) == (value, len(data))


@pytest.mark.parametrize("data", [b"\x80", b"\xff" * 10 + b"\1", b"\x80" * 9 + b"\x02"])
def test_a_number_that_does_not_end_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        varint(data, 0)


def test_negative_numbers_are_twos_complement() -> None:
    assert [signed(v) for _, v in fields(message((1, -1), (2, 5))) if isinstance(v, int)] == [-1, 5]


@pytest.mark.parametrize("data", [b"\x0a\x05abc", b"\x0b", b"\x00\x00", b"\x0d\x01"])
def test_a_broken_message_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        list(fields(data))


@pytest.mark.keras
def test_tensorflow_reads_what_the_tests_write(tmp_path: Path) -> None:
    """The writer of these tests is no proof of anything unless TensorFlow agrees with it."""
    import tensorflow as tf

    prefix = write_bundle(tmp_path / "x", SMALL, strings={"s": b"text"}, shards=2)
    reader = tf.train.load_checkpoint(str(prefix))
    np.testing.assert_array_equal(reader.get_tensor("a"), SMALL["a"])
    assert reader.get_tensor("b") == 7
    assert reader.get_tensor("s") == b"text"


@pytest.mark.keras
@pytest.mark.parametrize(("shape", "axis"), [((5, 3), 0), ((70, 3), 0), ((4, 300), 1)])
def test_a_variable_that_tensorflow_partitioned_is_joined(
    tmp_path: Path, shape: tuple[int, int], axis: int
) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        parts = v1.get_variable("w", shape, partitioner=v1.fixed_size_partitioner(3, axis))
        session.run(v1.global_variables_initializer())
        value = np.concatenate(session.run(list(parts)), axis)
        v1.train.Saver().save(session, str(tmp_path / "x"), write_meta_graph=False)
    bundle = Bundle(tmp_path / "x")
    assert bundle.extent("w") is None
    np.testing.assert_array_equal(bundle.read("w"), value)
    assert list(bundle.problems()) == []


def test_extents_of_a_real_file_lie_side_by_side() -> None:
    bundle = Bundle(GOLDEN / "tf2.3.1-optimizer_state")
    extents = [e for name in bundle.entries if (e := bundle.extent(name))]
    assert all(isinstance(e, Extent) and e.length > 0 for e in extents)
    assert sum(e.length for e in extents) < bundle.files[extents[0].file].size


def _partitioned(prefix: Path, cuts: list[tuple[int, int]]) -> Path:
    """`w`, 5 x 2, in slices of rows."""
    whole = np.arange(10, dtype="float32").reshape(5, 2)
    items, data, slices = {b"": message((1, 1))}, b"", []
    for rank, (start, size) in enumerate(cuts):
        part = np.resize(whole[start : start + size], (size, 2)).astype("float32").tobytes()
        # Of a slice's key only the name and the order matter.
        key = b"\0w\0\1" + bytes([rank])
        items[key] = bundle_entry(1, [size, 2], part, offset=len(data))
        data += part
        rows = message((1, message((1, start), (2, size))), (1, b""))
        slices.append(rows)
    items[b"w"] = bundle_entry(1, [5, 2], b"", slices=slices)
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(items))
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)
    return prefix


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def _content(prefix: Path) -> dict[str, bytes]:
    bundle = Bundle(prefix)
    try:
        numbers = {n: bundle.read(n).tobytes() for n in bundle.entries if bundle.spec(n)}
        texts = {n: bundle.strings(n)[0] for n, e in bundle.entries.items() if e.dtype == 7}
        return numbers | texts
    finally:
        bundle.close()
