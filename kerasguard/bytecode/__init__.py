"""Functions that Keras wrote into a file as Python bytecode: parsed and understood, never run.

    marshalled    bytes -> `Code`: a parser of marshal data with budgets
    opcodes       the instructions of CPython 2.7 and 3.4 to 3.13, as data
    instructions  a code's bytes -> instructions
    machine       instructions -> an expression, on a stack of expressions
    expressions   what a function computes, as a tree
    source        an expression -> readable Python
    functions     what a config holds of a function -> `Function`: start reading here

Nothing here calls `marshal`, `eval`, `exec` or makes a code object.
"""
