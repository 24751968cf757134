"""TensorFlow's containers without TensorFlow: tensor bundles, object graphs, SavedModel metadata.

`bundle_index` and `tensor_bundle` read the tensors, `object_graph` and `saver_table` say whose they
are. Start with `tensor_bundle`. Nothing here runs a graph or imports TensorFlow.
"""
