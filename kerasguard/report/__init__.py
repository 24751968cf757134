"""What a verification, a dry run or a restore came to: as text, as JSON and as one HTML page.

Names in a checkpoint are written by whoever wrote the file, so every form of a report is safe to
show: text holds no control characters, HTML is escaped by the template engine and runs nothing.
Start with `result`, the facts; `report` gives them their forms: `table` makes the rows,
`statistics` what they say of values, `page` the page. `drift` is about a whole run. Templates are
beside them and are filled in by `templates`.
"""

from kerasguard.report.report import SCHEMA, Report
from kerasguard.report.result import Outcome, Written
from kerasguard.report.words import counted, printable

__all__ = ["SCHEMA", "Outcome", "Report", "Written", "counted", "printable"]
