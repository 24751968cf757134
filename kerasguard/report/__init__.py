"""What a verification, a dry run or a restore came to: as text, as JSON and as one HTML page.

Names in a checkpoint are written by whoever wrote the file, so every form of a report is safe to
show: text holds no control characters, HTML is escaped by the template engine and runs nothing.
Start with `report`; `table` makes its rows, `statistics` what they tell of values, `page` shows
them. `drift` is about a whole run. Templates lie beside them and are filled in by `templates`.
"""

from kerasguard.report.report import SCHEMA, Outcome, Report, Written, counted, printable

__all__ = ["SCHEMA", "Outcome", "Report", "Written", "counted", "printable"]
