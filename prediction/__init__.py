"""The parts of inference.py and inference_onnx.py, and what other folders know of a prediction.

types.py           Prediction, Encoded, ModelInfo, Predictor
model_file.py      Lineage, Reference: what a model file says about itself
encoder.py         from a text to the token ids that a model reads
rows.py            which sentences share a row
cores.py           how many cores this process may use
session.py         a model file in ONNX Runtime
onnx_predictor.py  predictions from model.onnx
command_line.py    the command line of both scripts
parquet_job.py     the parts of a Parquet input, and those that an output lacks
parquet_parts.py   one of these parts: read, predicted and written
job_progress.py    how far such a job is
stream.py          a file of sentences, predicted batch by batch
input_files.py     the files of sentences that it reads
printing.py        answers on standard output

types.py and model_file.py import the standard library only.
"""
