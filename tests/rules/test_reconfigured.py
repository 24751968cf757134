"""What a model computes besides its weights: layers without any, and configs of older writers."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras_zoo import MARKS  # noqa: E402  needs keras

import kerasguard as kg  # noqa: E402
from kerasguard import errors  # noqa: E402

pytestmark = MARKS
layers = keras.layers


def model_of(*between: Any) -> Any:
    first, last = layers.Dense(4, name="first"), layers.Dense(2, name="last")
    return keras.Sequential([keras.Input((3,)), first, *between, last])


def told(path: Path, model: Any, code: str = "KG107") -> list[str]:
    return [f.message for f in kg.plan(path, model).findings if f.code == code]


@pytest.fixture(params=["m.keras", "m.weights.h5"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model with an activation of its own; the weights alone with a manifest."""
    model = model_of(layers.Activation("tanh", name="bend"))
    place: Path = tmp_path / request.param
    if place.name.endswith("h5"):
        model.save_weights(place)
        kg.record(place, model)
    else:
        model.save(place)
    return place


def test_a_layer_without_weights_that_computes_something_else_is_told(path: Path) -> None:
    assert told(path, model_of(layers.Activation("tanh"))) == []
    (message,) = told(path, model_of(layers.Activation("relu", name="bend")))
    assert message.startswith("bend: its configuration differs")


def test_layers_without_weights_that_came_or_went_are_told(path: Path) -> None:
    (message,) = told(path, model_of())
    assert "lacks bend (Activation), which the saved model had" in message
    (message,) = told(path, model_of(layers.Activation("tanh"), layers.ReLU(name="more")))
    assert "has more (ReLU), which the saved model did not have" in message
    idle = [layers.Dropout(0.2), layers.GaussianNoise(0.1)]
    assert told(path, model_of(layers.Activation("tanh"), *idle)) == []


def test_no_inner_layer_of_a_class_of_ones_own_is_taken_for_a_new_one(tmp_path: Path) -> None:
    class Block(layers.Layer):  # type: ignore[misc,name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense, self.bend = layers.Dense(4), layers.Activation("tanh")

        def call(self, x: Any) -> Any:
            return self.bend(self.dense(x))

    model = model_of(Block())
    model.save(tmp_path / "m.keras")
    assert told(tmp_path / "m.keras", model_of(Block())) == []


@pytest.mark.parametrize(
    "name", ["batchnorm", "mha", "lstm", "wrapped", "operations", "thresholded", "convtranspose"]
)
def test_a_file_of_an_older_keras_differs_in_spelling_only(
    name: str, repository: Path, tmp_path: Path
) -> None:
    with tarfile.open(repository / "tests/golden/classes/tf2.15.1.tar.xz") as archive:
        archive.extract(f"tf2.15.1/{name}.keras", tmp_path, filter="data")
    path = tmp_path / "tf2.15.1" / f"{name}.keras"
    assert told(path, kg.load(path)) == []
    assert [f for f in kg.plan(path).findings if f.code == "KG107"] == []


def test_options_that_came_since_are_no_difference_in_a_model_of_the_file(tmp_path: Path) -> None:
    path, older = tmp_path / "m.keras", tmp_path / "older.keras"
    model_of(layers.BatchNormalization()).save(path)
    with zipfile.ZipFile(path) as new, zipfile.ZipFile(older, "w") as old:
        for name in new.namelist():
            data = new.read(name)
            if name == "metadata.json":
                data = json.dumps({**json.loads(data), "keras_version": "3.3.3"}).encode()
            if name == "config.json":
                data = data.replace(b'"epsilon": 0.001, ', b"")
            old.writestr(name, data)
    assert [f for f in kg.plan(older).findings if f.code == "KG107"] == []


def lookups(*names: str) -> tuple[Any, list[Any]]:
    found = [layers.StringLookup(name=name) for name in names]
    inputs = [keras.Input((1,), dtype="string") for _ in found]
    tables = [
        layers.Embedding(3, 2, name=f"of_{n}")(f(i))
        for n, f, i in zip(names, found, inputs, strict=True)
    ]
    return keras.Model(inputs, layers.Concatenate()(tables)), found


def test_vocabularies_do_not_change_places(tmp_path: Path) -> None:
    model, (city, country) = lookups("city", "country")
    city.adapt([["Ilmenau"], ["Jena"]])
    country.adapt([["Chad"], ["Peru"]])
    model.save(tmp_path / "m.keras")
    same, found = lookups("city", "country")
    kg.load(tmp_path / "m.keras", same)
    assert [f.get_vocabulary() for f in found] == [city.get_vocabulary(), country.get_vocabulary()]
    other, found = lookups("country", "city")
    with pytest.raises(kg.UnrepairableError, match="KG114 country: its vocabulary is stored"):
        kg.load(tmp_path / "m.keras", other)
    assert {len(f.get_vocabulary()) for f in found} == {1}


@pytest.mark.parametrize("manifest", ["auto", "ignore"])
def test_a_compiled_h5_file_has_no_vocabulary_under_any_key(tmp_path: Path, manifest: Any) -> None:
    model, (city,) = lookups("city")
    city.adapt([["Ilmenau"], ["Jena"]])
    model.compile("adam", "mse")
    with kg.patched(log_to_mlflow=False):
        model.save(tmp_path / "m.h5")
    same, (found,) = lookups("city")
    found.set_vocabulary(city.get_vocabulary())
    same.compile("adam", "mse")
    kg.load(tmp_path / "m.h5", same, manifest=manifest)
    assert found.get_vocabulary() == city.get_vocabulary()
    if manifest == "auto":
        whole = kg.load(tmp_path / "m.h5")
        assert whole.get_layer("city").get_vocabulary() == city.get_vocabulary()
    else:
        with pytest.raises(kg.UnrepairableError, match="KG106 city/vocabulary: is in no file"):
            kg.load(tmp_path / "m.h5", manifest=manifest)


def test_a_given_vocabulary_gives_way_to_the_adapted_one(tmp_path: Path) -> None:
    model, (city,) = lookups("city")
    city.adapt([["Ilmenau"], ["Jena"]])
    model.save(tmp_path / "m.keras")
    other = layers.StringLookup(vocabulary=["Jena", "Ilmenau"], name="city")
    inputs = keras.Input((1,), dtype="string")
    into = keras.Model(
        inputs, layers.Concatenate()([layers.Embedding(3, 2, name="of_city")(other(inputs))] * 2)
    )
    before = into(np.array([["Jena"]]))
    kg.load(tmp_path / "m.keras", into, repair="guess")
    assert before.shape == (1, 1, 4)
    assert other.get_vocabulary() == city.get_vocabulary()
    into.save(tmp_path / "again.keras")
    again = kg.load(tmp_path / "again.keras")
    assert again.get_layer("city").get_vocabulary() == city.get_vocabulary()


def test_a_token_with_a_line_break_is_refused_and_not_cut(tmp_path: Path) -> None:
    model, (city,) = lookups("city")
    city.set_vocabulary(["Bad\u2028Berka", "Jena"])
    model.save(tmp_path / "m.keras")
    with pytest.raises(errors.RestoreError, match="does not read its vocabulary back"):
        kg.load(tmp_path / "m.keras")


@pytest.mark.parametrize("mode", ["int", "tf_idf"])
def test_a_given_vocabulary_is_put_back_with_weights_only(mode: str, tmp_path: Path) -> None:
    def made(words: list[str], weights: list[float]) -> Any:
        idf = {"idf_weights": weights} if mode == "tf_idf" else {}
        look = layers.StringLookup(vocabulary=words, output_mode=mode, name="look", **idf)
        return keras.Sequential([keras.Input((3,), dtype="string"), look])

    model, other = made(["fox", "dog"], [1.0, 2.0]), made(["dog", "fox"], [5.0, 6.0])
    x = keras.ops.convert_to_tensor([["fox", "dog", "cat"]])
    model.save_weights(tmp_path / "m.weights.h5")
    kg.record(tmp_path / "m.weights.h5", model)
    assert kg.restore(tmp_path / "m.weights.h5", other).report.findings == ()
    assert np.array_equal(other(x), model(x))
    other.save(tmp_path / "again.keras")
    assert np.array_equal(kg.load(tmp_path / "again.keras")(x), model(x))
    assert np.array_equal(keras.saving.load_model(tmp_path / "again.keras")(x), model(x))


def test_of_an_adapted_layer_all_but_what_it_adapted_to_is_compared(tmp_path: Path) -> None:
    def made(words: list[str] | None = None, **options: Any) -> Any:
        look = layers.StringLookup(vocabulary=words, name="look", **options)
        return keras.Sequential([keras.Input((1,), dtype="string"), look])

    path, model = tmp_path / "m.keras", made()
    model.layers[0].adapt([["Ilmenau"], ["Jena"]])
    model.save(path)
    assert told(path, made()) == []
    assert told(path, made(["Jena", "Ilmenau"])) == []
    (message,) = told(path, made(invert=True))
    assert message.startswith("look: its configuration differs")


def test_a_stateful_layer_is_compared(tmp_path: Path) -> None:
    def made(activation: str) -> Any:
        row = layers.SimpleRNN(2, stateful=True, activation=activation, name="row")
        return keras.Sequential([keras.Input((3, 2), batch_size=1), row])

    path, model = tmp_path / "m.keras", made("tanh")
    model.save(path)
    kg.record(path, model)
    assert told(path, made("tanh")) == []
    assert len(told(path, made("relu"))) == 1


def joined(*order: str, nested: bool = False, how: Any = None) -> Any:
    inputs = keras.Input((3,))
    found = {name: layers.Dense(4, name=name)(inputs) for name in ("left", "right")}
    both = (how or layers.Concatenate)()([found[name] for name in order])
    if not nested:
        return keras.Model(inputs, layers.Dense(2, name="head")(both))
    inside = keras.Input(both.shape[1:])
    part = keras.Model(inside, layers.Dense(2, name="head")(inside))
    return keras.Model(inputs, part(both))


def test_branches_that_are_joined_the_other_way_round_are_told(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    joined("left", "right").save(path)
    (message,) = told(path, joined("right", "left"), "KG115")
    assert (
        "called on different layers than when the model was saved, or in a different order"
        in message
    )
    assert told(path, joined("left", "right"), "KG115") == []
    assert told(path, joined("left", "right", nested=True), "KG115") == []


def test_a_sum_has_no_order(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    joined("left", "right", how=layers.Add).save(path)
    assert told(path, joined("right", "left", how=layers.Add), "KG115") == []


def test_layers_that_follow_each_other_in_another_order_are_told(tmp_path: Path) -> None:
    def row(*names: str) -> Any:
        return keras.Sequential([keras.Input((4,)), *[layers.Dense(4, name=n) for n in names]])

    row("one", "two", "three").save(tmp_path / "m.keras")
    (message,) = told(tmp_path / "m.keras", row("two", "one", "three"), "KG115")
    assert message.startswith(("one", "two"))
    assert "three" not in message.partition(":")[0]
    assert told(tmp_path / "m.keras", row("one", "between", "two", "three"), "KG115") == []


def two_ends(inputs: str = "ab", outputs: str = "cd", *, inside: bool = False, named: bool) -> Any:
    def name(of: str) -> dict[str, str]:
        return {"name": of} if named else {}

    starts = {n: keras.Input((4,), **name(n)) for n in "ab"}
    both = layers.Subtract(name="minus")([starts["a"], starts["b"]])
    ends = {n: layers.Dense(2, name=f"head_{n}")(both) for n in "cd"}
    model = keras.Model([starts[n] for n in inputs], [ends[n] for n in outputs])
    if not inside:
        return model
    given = [keras.Input((4,)) for _ in inputs]
    return keras.Model(given, layers.Concatenate()(model(given)))


@pytest.mark.parametrize(
    ("name", "inside", "named"),
    [
        ("m.keras", False, True),
        ("m.keras", True, False),
        ("m.weights.h5", False, False),
        ("m.weights.h5", True, True),
    ],
)
def test_inputs_and_outputs_that_change_places_are_told(
    name: str, inside: bool, named: bool, tmp_path: Path
) -> None:
    path, model = tmp_path / name, two_ends(inside=inside, named=named)
    (model.save if name == "m.keras" else model.save_weights)(path)
    if name != "m.keras":
        kg.record(path, model)
    assert told(path, two_ends(inside=inside, named=named), "KG115") == []
    assert told(path, two_ends("ba", inside=inside, named=named), "KG115") != []
    assert told(path, two_ends("ab", "dc", inside=inside, named=named), "KG115") != []


def branches(*, swapped: bool = False, act: str = "tanh", prefix: str = "") -> Any:
    inputs = keras.Input((3,))
    left = layers.Dense(4, activation=act, name=f"{prefix}left")(inputs)
    right = layers.Dense(4, name=f"{prefix}right")(inputs)
    pair = [right, left] if swapped else [left, right]
    both = layers.Concatenate(name="both")(pair)
    return keras.Model(inputs, layers.Dense(2, name=f"{prefix}last")(both))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("recorded", [False, True])
def test_the_config_in_an_hdf5_file_is_compared_too(recorded: bool, tmp_path: Path) -> None:
    path, model = tmp_path / "m.h5", branches()
    model.save(path)
    if recorded:
        kg.record(path, model)
    assert kg.plan(path, branches()).findings == ()
    (message,) = told(path, branches(act="relu"))
    assert message.startswith("left: its configuration differs")
    (message,) = told(path, branches(swapped=True), "KG115")
    assert message.startswith("both: called on different layers")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_layers_of_an_hdf5_file_are_the_same_where_they_get_the_same_tensors(
    tmp_path: Path,
) -> None:
    branches().save(tmp_path / "m.h5")
    assert told(tmp_path / "m.h5", branches(prefix="other_")) == []
    (message,) = told(tmp_path / "m.h5", branches(prefix="other_", act="relu"))
    assert message.startswith("other_left: its configuration differs")


@pytest.mark.parametrize("writer", ["tf1.12.3", "tf2.4.4", "tf2.15.1"])
def test_an_old_hdf5_file_is_as_the_model_that_is_made_from_it(
    writer: str, repository: Path, tmp_path: Path
) -> None:
    with tarfile.open(repository / f"tests/golden/writers/{writer}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    paths = [next(tmp_path.rglob(f"{name}.h5")) for name in ("cnn_bn", "gru", "siamese")]
    for path in paths:
        model = kg.load(path, compile=False)
        twin = type(model).from_config(model.get_config())
        assert not [f for f in kg.plan(path, twin).findings if f.code in ("KG107", "KG115")]


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_what_keras_did_not_write_is_no_part_of_the_comparison(tmp_path: Path) -> None:
    model = model_of(layers.Dropout(0.1, seed=1))
    model.save(tmp_path / "m.h5")
    manifest = kg.record(tmp_path / "m.h5", model)
    assert manifest.kept
    assert kg.plan(tmp_path / "m.h5", model_of(layers.Dropout(0.1, seed=1))).findings == ()
