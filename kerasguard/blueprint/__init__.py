"""A stored architecture while it is being migrated: plain JSON, and ways to walk and rewrite it.

    architecture what a stored config tells of its layers, and of a live model's for comparison
    writer       who wrote the file: which Keras, which TensorFlow, which backend
    objects      the `{"class_name": ..., "config": ...}` dicts inside a config
    nodes        the calls of a functional graph, in Keras 3's form
    working      `Blueprint`, the working copy with its findings, and `Migration`
    keras3       which layers and arguments Keras 3 has, as data
    operations   TensorFlow's operations in terms of Keras 3's, as data

Start with `working`. Migrations import from here and never from each other; nothing here reads a
file or knows a framework.
"""
