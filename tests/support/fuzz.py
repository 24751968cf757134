"""Fuzzes the readers; run as a program, guided by what it covers (`pip install -e .[fuzz]`).

    python tests/support/fuzz.py zip --seconds 600           # one reader
    python tests/support/fuzz.py all --seconds 3600          # one after the other

What is found is printed with its input in base64, and the program ends with 1.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def mutated(data: bytes, seeds: list[bytes], generator: random.Random) -> bytes:
    """A seed with a few changes, as a fuzzer makes them that knows nothing of what it reaches."""
    made = bytearray(data)
    for _ in range(1 << generator.randrange(4)):
        at = generator.randrange(len(made) + 1)
        kind = generator.randrange(7)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << generator.randrange(8)
        elif kind == 1 and at < len(made):
            made[at] = generator.randrange(256)
        elif kind == 2:
            del made[at : at + generator.choice((1, 2, 4, 16, 64))]
        elif kind == 3:
            made[at:at] = generator.randbytes(generator.choice((1, 2, 4, 8)))
        elif kind == 4:
            size = generator.choice((1, 2, 4, 8))
            told = generator.choice(_NUMBERS) & (1 << 8 * size) - 1
            made[at : at + size] = told.to_bytes(size, "little")
        elif kind == 5:
            other = generator.choice(seeds)
            start = generator.randrange(len(other) + 1)
            made[at : at + 16] = other[start : start + generator.randrange(64)]
        else:
            made[at:at] = made[at : at + generator.choice((1, 4, 16))]
    return bytes(made)


def unguided(name: str, runs: int, seed: int = 0, seconds: float = 1e9) -> tuple[int, list[str]]:
    """Call a target with mutated seeds; how often, and what it raised, with the input."""
    from fuzz_targets import TARGETS

    target, found = TARGETS[name], []
    seeds, generator = target.seeds(), random.Random(f"{name} {seed}")
    for one in seeds:
        target.call(one)
    end, done = time.monotonic() + seconds, 0
    kept = list(seeds)
    while done < runs and time.monotonic() < end:
        done += 1
        if target.structured:
            data = generator.randbytes(generator.choice((6, 11, 16, 31)))
        else:
            data = mutated(generator.choice(kept), seeds, generator)
        problem = raised_by(target.call, data)
        if problem:
            found.append(problem)
            if len(found) > 20:
                break
    return done, found


def raised_by(call: Callable[[bytes], None], data: bytes) -> str:
    """What a call raised, with its input; empty where it raised nothing."""
    start = time.process_time()
    try:
        call(data)
    except Exception:  # noqa: BLE001  # that is what is looked for
        return f"{traceback.format_exc()[-1200:]}\ninput: {base64.b64encode(data).decode()}"
    took = time.process_time() - start
    return f"took {took:.1f} s\ninput: {base64.b64encode(data).decode()}" if took > 2 else ""


def guided(name: str, seconds: int) -> int:
    """Let atheris drive one target in this process; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["kerasguard"]):
        from fuzz_targets import TARGETS
    target = TARGETS[name]
    corpus = tempfile.mkdtemp(prefix=f"corpus-{name}-")
    for number, seed in enumerate(target.seeds()):
        Path(corpus, str(number)).write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=65536", "-timeout=10", "-rss_limit_mb=3000"]
    atheris.Setup([sys.argv[0], corpus, *options], target.call)
    atheris.Fuzz()
    return 0


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--unguided", action="store_true", help="without atheris")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.target == "all":
        from fuzz_targets import TARGETS

        again = [sys.executable, __file__]
        rest = ["--seconds", str(options.seconds // len(TARGETS)), "--seed", str(options.seed)]
        rest += ["--unguided"] * options.unguided
        codes = [subprocess.run([*again, name, *rest], check=False).returncode for name in TARGETS]
        return int(any(codes))
    if not options.unguided:
        return guided(options.target, options.seconds)
    done, found = unguided(options.target, 10**9, options.seed, options.seconds)
    print(json.dumps({"target": options.target, "runs": done, "found": len(found)}))
    print("\n".join(found))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
