"""The version of this package, as `setup.cfg` has it."""

__all__ = ["__version__"]

__version__ = "0.2.0.dev0"
