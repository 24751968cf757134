"""Bytes on disk: files opened once and read once, replaced as a whole or not at all.

`opened_file` and `arena` read, `durable` and `commit` write, `sidecar` and `companion` are the two
files that may be beside a checkpoint. Start with `opened_file`. Knows no format: what bytes mean is
decided in `formats/`.
"""
