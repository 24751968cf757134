"""The names that a file may have looked up: parts of models, and none that acts on the machine.

An allowlist of the modules of Keras that models are made of, the few classes among them that run a
program, and, so that a message can say what a file is, the names that only hostile files have.
"""

from __future__ import annotations

import re

__all__ = ["FUNCTION", "KERAS", "PROGRAMS", "VALUES", "hostile", "is_part"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ROOTS = r"(keras|tf_keras)(\.(api|src))?"
_PARTS = re.compile(
    rf"{_ROOTS}\.(activations|applications|constraints|dtype_policies|initializers|layers|losses"
    r"|metrics|models|ops|optimizers|quantizers|random|regularizers"
    r"|backend\.torch\.optimizers)(\.|$)"
)
_MATHEMATICAL = re.compile(
    rf"{_ROOTS}\.(activations|constraints|initializers|losses|metrics|ops|random|regularizers"
    r"|backend\.tensorflow\.(nn|numpy|math))(\.|$)"
)
KERAS = re.compile(rf"({_ROOTS}|kerasguard)(\.|$)")
# What the top of Keras offers and models are made of.
_TOP = _words(
    "DTypePolicy FloatDTypePolicy Functional Initializer InputSpec Layer Loss Metric Model "
    "Operation Optimizer Quantizer Regularizer SeedGenerator Sequential Variable"
)
_CLASS, FUNCTION = re.compile(r"[A-Z]\w*"), re.compile(r"[a-z_]\w*")
# In the modules of functions, and no functions of tensors.
_LOOKING_UP = frozenset({"deserialize", "get", "serialize"})
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
    """Whether a name is one that no model needs and that would act on the machine."""
    parts = [part for part in (*module.split("."), *name.split(".")) if part]
    if not parts:
        return False
    rooted = bool(module) or len(parts) > 1
    own = KERAS.match(".".join(parts)) is not None
    return (rooted and not own and parts[0] in _HOSTILE_MODULES - {"builtins"}) or (
        (module in ("", "builtins") or parts[0] == "builtins") and parts[-1] in _HOSTILE_NAMES
    )


def is_part(module: str, name: str, *, function: bool) -> bool:
    """Whether a module and name of Keras' are a part of models: of a class, or a function."""
    if function:
        named = FUNCTION.fullmatch(name) and name not in _LOOKING_UP
        return bool(named and _MATHEMATICAL.match(module))
    if module.startswith("kerasguard"):
        return True
    if module in ("keras", "tf_keras", "keras.api", "keras.src"):
        return name in _TOP
    if module == "keras.utils":
        return name == "FeatureSpace"
    return bool(_PARTS.match(module) and _CLASS.fullmatch(name))
