"""What the modules of PyTorch call their arrays and how these lie, and Keras' variables of them.

`modules` reads the names of a state dict, `layers` the model's layers; `recipes` has the steps from
one to the other by the class of the layer, `pairing` decides which goes with which. Start with
`layouts/state_dict.py`, which puts them together.
"""
