"""The model registry and the pipeline (chapter 8); the files that they read are in dvcfiles/.

pointer.py     reads and writes trained_model.dvc: which model is the current one, and its facts
store.py       runs DVC, which keeps the models themselves; explains its errors in one line
versions.py    push, pull, compare and promote
history.py     all versions, from git
__main__.py    the command line: ``python -m registry``
overrides.py   runs a script of the pipeline with the values that params.yaml sets
summary.py     the pipeline's last stage: what ``dvc metrics`` and ``dvc plots`` show
"""
