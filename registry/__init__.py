"""Which model.onnx is the current one (trained_model.dvc), and the pipeline that makes one (dvc.yaml)."""
