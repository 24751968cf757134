"""Drafts, findings, operations, plans: the values that a decision is made of.

A rule looks at a `draft` and yields `findings`; a finding may carry `operations`; `plan` folds them
into a total plan. Start with `plan`. Pure: no file, no framework, no clock.
"""
