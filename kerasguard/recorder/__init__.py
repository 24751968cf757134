"""From a model to a checkpoint with its manifest.

`patching` sees every public way to save, `patched_save` records one save, `recording` surveys what
is on the disk, `unwritten_state` keeps what Keras does not write. Start with `recording`. Nothing
here restores.
"""
