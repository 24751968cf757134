"""The HDF5 container: checked before libhdf5 sees it, and read with offsets of its tensors.

`file` is what formats use; `headers` and `classic` look for damage that libhdf5 hangs on.
"""
