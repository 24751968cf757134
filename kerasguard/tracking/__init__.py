"""Experiment trackers: manifests go to MLflow, and checkpoints come from there.

`mlflow_tracking` is the only module that imports MLflow, and only once somebody asks for it.
"""
