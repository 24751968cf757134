"""How PyTorch modules name and lay out their arrays, and the Keras variables that these become.

`modules` reads the names of a state dict, `layers` the model's layers; `recipes` has the steps from
one to the other by the class of the layer, `pairing` decides which goes with which. Start with
`layouts/state_dict.py`, which puts them together. PyTorch itself is never imported.
"""
