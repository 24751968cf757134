"""TensorFlow's containers without TensorFlow: tensor bundles, object graphs, SavedModel metadata.

`bundle_index` and `tensor_bundle` read the tensors, `object_graph` and `saver_table` say whose they
are. Nothing here runs a graph.
"""
