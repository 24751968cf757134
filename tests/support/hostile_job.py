"""Loads every hostile demonstrator with the Keras of this process; tells what each has caused.

Run with the backend of the environment; prints one line of JSON.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras

import kerasguard as kg

SOURCE = Path(__file__).parents[1] / "migrations" / "test_hostile_configs.py"
WATCHED = {
    "marshal.loads", "os.system", "subprocess.Popen", "socket.connect", "socket.getaddrinfo",
    "ctypes.dlopen", "os.exec", "os.posix_spawn",
}  # fmt: skip


class Watch:
    """What the audit hook sees while it is on: modules, files and calls that a file has caused."""

    def __init__(self, folder: Path) -> None:
        self.on, self.seen, self.folder = False, list[str](), str(folder)
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "import" and str(args[0]) not in sys.modules:
            self.seen.append(f"import {args[0]}")
        elif event == "open" and isinstance(args[0], (str, bytes)):
            name = os.fsdecode(args[0])
            code = name.endswith((".py", ".pyc", ".so")) or name.startswith("/proc/")
            own = name == self.folder or name.startswith(f"{self.folder}/m.keras")
            if not code and not own:
                self.seen.append(f"open {name}")
        elif event in WATCHED:
            self.seen.append(event)


def main() -> None:
    """See the module."""
    spec = importlib.util.spec_from_file_location("hostile", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    hostile = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hostile)
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)
    (folder / "words.txt").write_text("secret\n")
    for name in ("keras_cv", "keras_hub", "kerasx", "zoo"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported because a file says so')")
    sys.path.insert(0, str(folder))
    calls, build = [], keras.saving.deserialize_keras_object

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(1)
        return build(*args, **options)

    keras.saving.deserialize_keras_object = counted
    mine = type("MyLayer", (keras.layers.Layer,), {})
    for (
        put
    ) in hostile.PLACES.values():  # what Keras itself imports when it builds for the first time
        hostile.archive(folder / "m.keras", put(hostile.of("zoo", "MyLayer")))
        load(folder / "m.keras", {"MyLayer": mine})
    watch, count, bad = Watch(folder), 0, []
    for objects in ({}, {"MyLayer": mine}):
        for name, (_, payload) in hostile.PAYLOADS.items():
            for place, put in hostile.PLACES.items():
                posing = copy.deepcopy(payload)
                if objects:
                    item = posing[0]["deep"][0] if isinstance(posing, list) else posing
                    item["registered_name"] = "MyLayer"
                count += 1
                calls.clear()
                watch.seen.clear()
                hostile.archive(folder / "m.keras", put(posing))
                watch.on = True
                problem = load(folder / "m.keras", objects)
                watch.on = False
                if problem or watch.seen or (calls and not objects):
                    bad.append([name, place, bool(objects), problem, watch.seen[:3], len(calls)])
    print(json.dumps({"keras": keras.__version__, "count": count, "bad": bad[:20]}))


def load(path: Path, objects: dict[str, Any]) -> str:
    """Empty where it was refused by an error of kerasguard's."""
    try:
        kg.load(path, custom_objects=objects or None)
    except kg.KerasguardError:
        return ""
    except BaseException as error:  # noqa: BLE001  # that is what is looked for
        return repr(error)[:300]
    return "loaded"


if __name__ == "__main__":
    main()
