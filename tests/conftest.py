"""What every test may ask for, and the quiet, seeded surroundings that all of them get."""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fakes import DictSource
from hypothesis import HealthCheck, settings

from kerasguard.tensors.elements import Array

# Read by TensorFlow and Keras when they are first imported, so they are set before any test is.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# A law holds on a slow machine too.
settings.register_profile(
    "laws", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("laws")

REPOSITORY = Path(__file__).resolve().parent.parent
STARTED = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--minutes`, for machines whose speed nobody knows."""
    parser.addoption(
        "--minutes", type=float, help="start no further test after so many; the rest is skipped"
    )


# Tests of one file share what they have made; those of these files share a server.
TOGETHER = {
    "test_mlflow_end_to_end.py": "mlflow",
    "test_mlflow_flavor.py": "mlflow",
    "test_mlflow_models.py": "mlflow",
    "test_mlflow_tracking.py": "mlflow",
}


# What takes longest or guards most comes first; files of many cases of one law come last, so that
# a run that is cut off has tried every law.
FIRST = (
    "test_corpora.py",
    "test_wild_weights.py",
    "test_bit_flips.py",
    "test_backends.py",
    "test_workers.py",
    "test_servers.py",
    "test_strategies.py",
    "test_kill_during_save.py",
    "test_mutations.py",
    "test_docs.py",
    "test_quickstart.py",
    *TOGETHER,
    "test_tf_keras.py",
    "test_installed.py",
    "test_examples.py",
)
LAST = (
    "test_fuzzing.py",
    "test_failing_disk.py",
    "test_interrupts.py",
    "test_hostile_on_kerases.py",
    "test_resume_law.py",
    "test_computed_edits.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--dist loadgroup`, a file runs in one process."""
    for item in items:
        place = str(item.path.relative_to(REPOSITORY))
        item.add_marker(pytest.mark.xdist_group(TOGETHER.get(item.path.name, place)))
    order = {name: place for place, name in enumerate((*FIRST, "", *LAST))}
    items.sort(key=lambda item: order.get(item.path.name, order[""]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what would start too late, and say so."""
    minutes = item.config.getoption("--minutes")
    if minutes is not None and time.monotonic() - STARTED > 60 * minutes:
        pytest.skip(f"not run: {minutes:g} minutes are over")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real files that are too big or too foreign for the repository."""
    told = os.environ.get("KERASGUARD_SHARED")
    folder = Path(told) if told else REPOSITORY.parent / "shared"
    if not (folder / "fixtures").is_dir():
        pytest.skip(f"needs the fixtures of {folder}; set KERASGUARD_SHARED to where they lie")
    return folder


@pytest.fixture
def dict_source() -> Callable[[Mapping[str, Array]], DictSource]:
    """Makes a `TensorSource` out of a dict; `.reads` tells which keys were read."""
    return DictSource


@pytest.fixture(autouse=True, scope="session")
def _an_outbox_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What waits for MLflow lies in no folder of the user's."""
    os.environ["KERASGUARD_OUTBOX"] = str(tmp_path_factory.mktemp("outbox"))


@cache
def _frozen() -> None:
    """The million objects of the imports stay: no collection needs to look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_random_numbers_in_every_run() -> Iterator[None]:
    """Seed every generator that is there; Keras only where a test has imported it."""
    random.seed(0)
    np.random.seed(0)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
        _frozen()  # once: asking the collector whether it is done would count all of them
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session(free_memory=False)
