"""What inference.py and inference_onnx.py are made of, and what every other folder knows of a prediction.

types.py           Prediction, Encoded, ModelInfo, Predictor: imports nothing but the standard library
encoder.py         from a text to the token ids that a model reads
rows.py            which sentences share a row
cores.py           how many cores this process may use
onnx_predictor.py  predictions from model.onnx
command_line.py    the command line of both scripts
"""
