"""What every command of this project shares: how it ends (run.py) and how it writes files (files.py)."""
