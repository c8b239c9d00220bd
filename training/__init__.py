"""What ``data.py``, ``model.py`` and ``train.py`` stand on."""
