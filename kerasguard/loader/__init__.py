"""From a checkpoint to a restored model: open, build, plan, run.

`attempt` is the whole way on one page: `sources` says what may be named, `reading` reads the bytes
once, `build_model` makes the model, `prepared` holds both and plans. `diagnose` is the pure core of
that: three tables in, a total plan out. Nothing is assigned before the plan is total; nothing here
writes a file.
"""
