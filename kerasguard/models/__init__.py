"""Live models: the one seam to Keras and TensorFlow. Start with `live_model`.

What a model holds (`live_model`, `walk`, `variables`), how one is built from a config (`build`),
and how values get into it, all or none (`assign`). Decides nothing: which tensor is which and what
may be repaired is settled on tables, in `identity/`, `rules/` and `planning/`.
"""

from importlib.util import find_spec

from kerasguard.errors import MissingPackageError

if find_spec("keras") is None:
    raise MissingPackageError(
        "this needs Keras, which is not installed: pip install 'kerasguard[tensorflow]', or [jax] "
        "or [torch] instead"
    )
