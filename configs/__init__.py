"""What may be configured: Hydra's YAML files by group, and ``schema.py`` with their types."""
