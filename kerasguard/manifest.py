"""The manifest: the survey at save time, and where it came from.

Canonical JSON: equal content, equal bytes; sorted keys, no floats that JSON cannot hold.
Laws: `Manifest.from_dict(m.to_dict()) == m` and `Manifest.from_json(m.to_json()) == m`.
"""
