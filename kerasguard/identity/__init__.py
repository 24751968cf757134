"""Which stored tensor is which expected one, on all evidence together.

`pair` decides: `evidence` collects what speaks for a pair, `graph` and `alignment` compare the
architectures, `contradictions` and `leftovers` settle what is left. Optimizer state follows its
variables (`optimizer_state`). Pure: tables in, pairs out; an array is never looked at.
"""
