"""How legacy writers laid out weights, and the steps that turn them into Keras 3's variables.

Pure: tables in, steps out; no file is opened and no array is looked at. Start with `restore`:
`restore_table` is for a whole file, `legacy_steps` for one layer.
"""

from kerasguard.layouts.axis_orders import Rows, in_model_order, into_images, owner
from kerasguard.layouts.batch_statistics import without_statistics
from kerasguard.layouts.convolution import outputs_first
from kerasguard.layouts.defaults import changed_defaults, likely_writer, other_function, other_masks
from kerasguard.layouts.dict_order import unsorted_dicts
from kerasguard.layouts.layer import legacy_steps
from kerasguard.layouts.local_layers import as_dense
from kerasguard.layouts.older_paths import restore_older_paths
from kerasguard.layouts.pairing import opened_groups
from kerasguard.layouts.pytorch.modules import as_modules
from kerasguard.layouts.rare_tokens import rare_tokens
from kerasguard.layouts.restore import CODES, restore_table
from kerasguard.layouts.state_dict import restore_state_dict, uncounted
from kerasguard.layouts.state_tree import as_walked

__all__ = [
    "CODES",
    "Rows",
    "as_dense",
    "as_modules",
    "as_walked",
    "changed_defaults",
    "in_model_order",
    "into_images",
    "legacy_steps",
    "likely_writer",
    "opened_groups",
    "other_function",
    "other_masks",
    "outputs_first",
    "owner",
    "rare_tokens",
    "restore_older_paths",
    "restore_state_dict",
    "restore_table",
    "uncounted",
    "unsorted_dicts",
    "without_statistics",
]
