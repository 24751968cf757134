"""Models of Keras 2 with one Lambda, of a function that the running Python compiles."""

from __future__ import annotations

import base64
import marshal
from typing import Any

from kerasguard.migrations import migrate
from kerasguard.planning.findings import Finding, Severity

Json = dict[str, Any]
KERAS2 = {"keras": "2.11.0", "config": "legacy"}
ALLOWED = frozenset({"lambdas"})


def stored(function: Any) -> list[Any]:
    """A function as Keras 2 wrote it, by the Python that runs this."""
    code = base64.b64encode(marshal.dumps(function.__code__)).decode()
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return [code, list(function.__defaults__ or ()) or None, cells or None]


def model(function: Any, *shapes: tuple[int, ...], **config: Any) -> Json:
    """A functional model of Keras 2 with one Lambda."""
    shapes = shapes or ((4,),)
    names = [f"x{n}" for n in range(len(shapes))]
    starts = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, *shape], "dtype": "float32", "name": name},
            "name": name,
            "inbound_nodes": [],
        }
        for name, shape in zip(names, shapes, strict=True)
    ]
    code = function if isinstance(function, list) else stored(function)
    layer = {
        "class_name": "Lambda",
        "config": {"name": "layer", "function": code, "function_type": "lambda", **config},
        "name": "layer",
        "inbound_nodes": [[[name, 0, 0, {}] for name in names]],
    }
    return {
        "class_name": "Functional",
        "config": {
            "name": "model",
            "layers": [*starts, layer],
            "input_layers": [[name, 0, 0] for name in names],
            "output_layers": [["layer", 0, 0]],
        },
    }


def lambdas(findings: tuple[Finding, ...]) -> list[Finding]:
    return [f for f in findings if f.code == "KG421"]


def refused(function: Any, *shapes: tuple[int, ...], **config: Any) -> str:
    """Why a function is refused although the caller allows Lambdas."""
    _, findings = migrate(model(function, *shapes, **config), KERAS2, allow=ALLOWED)
    (finding,) = lambdas(findings)
    assert finding.severity is Severity.ERROR, finding
    return str(finding)


def read(function: Any, *shapes: tuple[int, ...], **config: Any) -> Json:
    """The architecture in which operations took the Lambda's place."""
    new, findings = migrate(model(function, *shapes, **config), KERAS2, allow=ALLOWED)
    assert not [f for f in findings if f.severity is Severity.ERROR]
    (finding,) = lambdas(findings)
    assert finding.severity is Severity.WARNING
    return new
