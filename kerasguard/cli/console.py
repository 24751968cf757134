"""How the command line shows a result: one JSON document, or lines and tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from kerasguard.report import printable

__all__ = ["SCHEMA", "Output"]

SCHEMA = "kerasguard/cli/1"


class Output:
    """Where a command puts its result: a document for `--json`, lines and tables otherwise.

    Args:
        command: the verb, named in the document.
        as_json: one JSON document instead of text.
        quiet: no text at all; a document that was asked for, and errors, are told.
    """

    def __init__(self, command: str, *, as_json: bool, quiet: bool = False) -> None:
        self.command, self.as_json, self._silent = command, as_json, as_json or quiet

    def document(self, code: int, **content: Any) -> None:
        """The JSON document, if that is what was asked for."""
        if self.as_json:
            head = {"schema": SCHEMA, "command": self.command, "exit_code": code}
            print(json.dumps({**head, **content}, indent=2, allow_nan=False))

    def line(self, text: object = "") -> None:
        """A line of text, with nothing in it that a terminal would act on."""
        if not self._silent:
            print(printable(text))

    def complain(self, text: str) -> None:
        """An error that does not end the command."""
        print(f"kerasguard: {printable(text)}", file=sys.stderr)

    def remark(self, text: str) -> None:
        """What a reader should know and a program that reads stdout should not meet."""
        if not self._silent:
            print(printable(text), file=sys.stderr)

    def progress(self, text: str) -> None:
        """What is done next, for whoever watches; nothing where output is read by a program."""
        if not self._silent and sys.stderr.isatty():
            print(printable(text), file=sys.stderr, flush=True)

    def counter(self, text: str) -> None:
        """One line on a terminal that is written over; an empty text takes it away."""
        if not self._silent and sys.stderr.isatty():
            print(f"\r\x1b[K{printable(text)}", end="", file=sys.stderr, flush=True)

    def json_line(self, content: object) -> None:
        """One line of JSON at once, whatever else is asked for."""
        print(json.dumps(content, allow_nan=False), flush=True)

    def text(self, text: str) -> None:
        """A document in a different form than `--json` gives it, whatever else is asked for."""
        print(text, flush=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table: drawn by rich on a terminal, aligned columns elsewhere."""
        if self._silent or not rows:
            return
        cells = [[printable(cell) for cell in row] for row in rows]
        if sys.stdout.isatty():
            _rich_table(header, cells)
            return
        widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
        for row in (header, *cells):
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(padded).rstrip())


def _rich_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # rich honours NO_COLOR and the width of the terminal by itself.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in header:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
