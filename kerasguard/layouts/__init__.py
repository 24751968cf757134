"""How legacy writers laid out weights, and the steps that turn them into Keras 3's variables.

Pure: tables in, steps out. `restore_table` is for a whole file, `legacy_steps` for one layer.
"""

from kerasguard.layouts.defaults import changed_defaults
from kerasguard.layouts.layer import legacy_steps
from kerasguard.layouts.restore import CODES, restore_table

__all__ = ["CODES", "changed_defaults", "legacy_steps", "restore_table"]
