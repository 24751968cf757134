"""What a Lambda's function computes, in terms of Keras 3's operations.

names        the modules that a function's globals stand for, and their values
signatures   the parameters of those modules' functions
values       what an expression is worth while it is evaluated: numbers, tensors, functions
arithmetic   numbers and tuples: computed here and now, within budgets
sizes        shapes of tensors, and what functions ask about them
calling      functions of `keras.backend`, `tensorflow`, `keras.ops` on tensors
evaluate     an expression with its parameters -> tensors
drawing      the operations that this takes, as layers of a graph

Start with `evaluate`. Nothing here runs a function that a file holds.
"""
