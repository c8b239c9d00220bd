"""What may be configured: Hydra's YAML files by group, and ``schema.py`` with their types.

``training_schema.py`` is the schema's largest group; ``limits.py`` has the values that are
possible, where a type allows more; ``recorded.py`` is what a run records of its configuration.
"""
