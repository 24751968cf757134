"""The HDF5 container: checked before libhdf5 sees it, and read with offsets of its tensors.

Start with `file`, which formats use; `headers` and `classic` look for damage that libhdf5 hangs on.
What a dataset means to Keras is never decided here.
"""
