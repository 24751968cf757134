"""What a manifest tells of optimizers."""

from __future__ import annotations

from typing import Any

import pytest

from kerasguard.errors import ManifestError
from kerasguard.manifest.nodes import Node
from kerasguard.manifest.optimizers import check_optimizers

OTHER: dict[str, Any] = {"path": "d", "holder": "", "attribute": "d", "entry": None, "config": {}}
GOOD: dict[str, Any] = {
    "class": "Adam", "iterations": 3, "config": {"learning_rate": 0.1}, "slots": ["momentum"],
    "undecayed": {"optimizer": ["layers/dense/vars/1"]},
    "others": [OTHER, OTHER | {"entry": 1}, OTHER | {"entry": "key"}],
}  # fmt: skip


def test_one_and_several_are_understood() -> None:
    check_optimizers(Node(GOOD, "optimizer"))
    check_optimizers(Node({}, "optimizer"))


@pytest.mark.parametrize("value", [None, 3, [], {}, True])
@pytest.mark.parametrize("field", ["class", "iterations", "config", "slots", "others", "undecayed"])
def test_a_field_of_another_type_is_refused(field: str, value: object) -> None:
    fine: dict[str, tuple[object, ...]] = {
        "class": (), "iterations": (3,), "config": (None, {}), "slots": ([],), "others": ([],),
        "undecayed": ({},),
    }  # fmt: skip
    node = Node(GOOD | {field: value}, "optimizer")
    if any(value is one or (value == one and type(value) is type(one)) for one in fine[field]):
        check_optimizers(node)
    else:
        with pytest.raises(ManifestError) as caught:
            check_optimizers(node)
        assert caught.value.where == f"optimizer.{field}"


@pytest.mark.parametrize("field", ["path", "holder", "attribute", "config"])
def test_of_another_optimizer_everything_is_told(field: str) -> None:
    lacking = {name: value for name, value in OTHER.items() if name != field}
    with pytest.raises(ManifestError) as caught:
        check_optimizers(Node({"others": [OTHER, lacking]}, "optimizer"))
    assert caught.value.where == f"optimizer.others[1].{field}"


@pytest.mark.parametrize("keys", [None, "layers/dense/vars/1", {}, [1], [["a"]]])
def test_what_is_not_decayed_is_a_list_of_names(keys: object) -> None:
    with pytest.raises(ManifestError) as caught:
        check_optimizers(Node(GOOD | {"undecayed": {"optimizer": keys}}, "optimizer"))
    assert caught.value.where == "optimizer.undecayed['optimizer']"
