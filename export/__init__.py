"""The parts of convert_model_to_onnx.py.

packing.py        the network as it is exported: several sentences in one row
distilbert.py     DistilBERT as BERT, which packing.py knows
quantization.py   weights as 8-bit integers that no CPU can saturate
calibration.py    scores that can be taken for probabilities
feeds.py          feeds for the network in its different forms; logits, latency
variants.py       PyTorch and the exported models on the validation set
reference.py      the distributions that drift is measured against
model_file.py     models/model.onnx: the graph and its metadata
report.py         models/export_report.json
"""
