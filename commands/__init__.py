"""What every command shares: how it ends (run.py), files (files.py) and tables (tables.py)."""
