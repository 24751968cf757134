"""What a code such as `KG201` means, in the words of the module that gives it.

A module in `rules/`, `layouts/`, `blueprint/` or `migrations/` that gives codes has `CODES`, from
code to a one-line summary, and tells the rest in its docstring: what it looks
like, why it happens, source, when the repair is exact. A module of several codes has `EXPLANATIONS`
for those that its docstring is not about.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass

from kerasguard import blueprint, layouts, migrations, rules
from kerasguard.errors import ArgumentError, nearest

__all__ = ["Explanation", "explain", "explanations"]

_PARAGRAPH = re.MULTILINE | re.DOTALL


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code.

    Args:
        code: `KG201`.
        summary: one line.
        module: the module that gives it, `kerasguard.rules.transposed`.
        text: what it looks like, why it happens, source, when the repair is exact.
    """

    code: str
    summary: str
    module: str
    text: str

    def __str__(self) -> str:
        return f"{self.code}: {self.summary}\n\n{self.text}"

    @property
    def exact(self) -> str:
        """When its repair is exact, on one line."""
        match = re.search(
            r"^When (?:it|the repair) is exact:(.*?)(?:\n\n|\Z)", self.text, _PARAGRAPH
        )
        return " ".join(match[1].split()) if match else ""


def explain(code: str) -> Explanation:
    """What a code means: what it looks like, why it happens, when its repair is exact.

    Args:
        code: `KG201`, in upper or lower case.

    Raises:
        ArgumentError: there is no such code.
    """
    known = explanations()
    found = known.get(code.strip().upper()) if isinstance(code, str) else None
    if found is None:
        text = str(code).upper()
        near = [known_code for known_code in known if known_code.startswith(text) and text]
        near = near or [word for word in [nearest(text, known)] if word] or list(known)
        raise ArgumentError(f"there is no code {code!r}; did you mean {', '.join(near[:12])}?")
    return found


def explanations() -> dict[str, Explanation]:
    """Every code that kerasguard can give, in order of the codes."""
    found = {}
    for package in (rules, layouts, blueprint, migrations):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            text, own = inspect.getdoc(module) or "", getattr(module, "EXPLANATIONS", {})
            for code, summary in getattr(module, "CODES", {}).items():
                found[code] = Explanation(code, summary, info.name, own.get(code, text))
    return dict(sorted(found.items()))
