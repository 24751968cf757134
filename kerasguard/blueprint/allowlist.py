"""The names that a file may have looked up: parts of models, and none that acts on the machine.

An allowlist of the modules of Keras that models are made of, the few classes among them that run a
program, and, so that a message can say what a file is, the names that only hostile files have.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["FUNCTION", "KERAS", "PROGRAMS", "VALUES", "hostile", "is_part"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ROOTS = r"(keras|tf_keras)(\.(api|src))?"
_BELOW = r"(\.(?!\w+_test\b)[a-z_][a-z0-9_]*)*\Z"  # and none of the tests that Keras brings along
_PARTS = re.compile(
    rf"{_ROOTS}\.(activations|applications|constraints|dtype_policies|initializers|layers|losses"
    r"|metrics|models|ops|optimizers|quantizers|random|regularizers"
    rf"|backend\.torch\.optimizers){_BELOW}",
    re.ASCII,
)
_MATHEMATICAL = re.compile(
    rf"{_ROOTS}\.(activations|constraints|initializers|losses|metrics|ops|random|regularizers"
    rf"|backend\.tensorflow\.(nn|numpy|math)){_BELOW}",
    re.ASCII,
)
KERAS = re.compile(rf"{_ROOTS}(\.|\Z)")
# What the top of Keras offers and models are made of.
_TOP = _words(
    "DTypePolicy FloatDTypePolicy Functional Initializer InputSpec Layer Loss Metric Model "
    "Operation Optimizer Quantizer Regularizer SeedGenerator Sequential Variable"
)
FUNCTION = re.compile(r"[a-z_]\w*")
# As Keras spells its own.
_CLASS, _PUBLIC = re.compile(r"[A-Z][A-Za-z0-9]*"), re.compile(r"[a-z][a-z0-9_]*")
# In the modules of functions, and no functions of tensors.
_NOT_OF_TENSORS = _words(
    "auto_name backend deserialize get is_nnx_enabled keras_export name_scope serialize "
    "to_snake_case"
)
# In the modules of parts, and none: functions with the name of a class, and what those import.
_NO_PARTS = _words(
    "BackendLayer BackendOptimizer CallContext CallSpec Callable Enum Input KerasSaveable "
    "MutableMapping PyDataset Tracker Trainer"
)
_APPLICATIONS = re.compile(rf"{_ROOTS}\.applications\b")
# All else that those modules offer are functions that make a model and fetch its weights.
_OF_APPLICATIONS = _words("CustomScaleLayer LayerScale StochasticDepth")
PROGRAMS = {
    "TFSMLayer": "it runs a SavedModel from a path that the file names",
    "TorchModuleWrapper": "it unpickles what the file holds",
}
# What Keras writes for values that are not JSON; a typespec names a class besides.
VALUES = _words(
    "__array__ __bool__ __bytes__ __complex__ __ellipsis__ __keras_tensor__ __numpy__ "
    "__slice__ __tensor__ __tuple__ __typespec__"
)
_HOSTILE_MODULES = _words(
    "_io _posixsubprocess _socket asyncio bdb builtins cffi code codeop commands concurrent "
    "ctypes dill distutils eval fcntl ftplib gc http imaplib imp importlib inspect io joblib "
    "marshal mmap multiprocessing nt os pathlib pdb pickle pip pkgutil platform popen2 posix "
    "posixpath pty pydoc requests resource runpy setuptools shelve shutil signal smtplib "
    "socket socketserver sqlite3 ssl subprocess sys sysconfig telnetlib tempfile threading "
    "timeit trace types urllib venv webbrowser winreg xmlrpc zipfile zipimport"
)
_HOSTILE_NAMES = _words(
    "__build_class__ __import__ breakpoint compile delattr eval exec execfile exit getattr "
    "globals input locals open popen quit setattr spawn system vars"
)


def hostile(name: str, module: str = "") -> bool:
    """Whether a name is one that no model needs and that would act on the machine.

    Python reads some other letters as those (`\uff45xec` is `exec`), so they count as those.
    """
    name, module = (unicodedata.normalize("NFKC", text) for text in (name, module))
    parts = [part for part in (*module.split("."), *name.split(".")) if part]
    if not parts:
        return False
    rooted = bool(module) or len(parts) > 1
    own = KERAS.match(".".join(parts)) is not None
    return (rooted and not own and parts[0] in _HOSTILE_MODULES - {"builtins"}) or (
        (module in ("", "builtins") or parts[0] == "builtins" or parts[-1].startswith("__"))
        and parts[-1] in _HOSTILE_NAMES
    )


def is_part(module: str, name: str, *, function: bool) -> bool:
    """Whether a module and name of Keras' are a part of models: of a class, or a function."""
    if function:
        named = _PUBLIC.fullmatch(name) and name not in _NOT_OF_TENSORS
        return bool(named and _MATHEMATICAL.match(module))
    if module in ("keras", "tf_keras", "keras.api", "keras.src"):
        return name in _TOP
    if module == "keras.utils":
        return name == "FeatureSpace"
    if _APPLICATIONS.match(module) and name not in _OF_APPLICATIONS:
        return False
    return bool(_PARTS.match(module) and _CLASS.fullmatch(name) and name not in _NO_PARTS)
