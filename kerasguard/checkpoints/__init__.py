"""Jobs on whole files that need no model of the caller's: inspect, scan, repair, compare, explain.

Each module is one job, and its function of the same name is public or a command; start with
`inspect`. None knows how a format is laid out (`formats/`) or how a plan is made (`loader/`).
"""
