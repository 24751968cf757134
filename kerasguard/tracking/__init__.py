"""Experiment trackers: manifests go to MLflow, and checkpoints come from there.

Start with `mlflow_tracking` for what is sent and `mlflow_models` for what is fetched. MLflow is
imported only once somebody asks for it, and no training ever waits for a server.
"""
