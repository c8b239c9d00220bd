"""The parts of convert_model_to_onnx.py.

packing.py        the network as it is exported: several sentences in one row
distilbert.py     DistilBERT as BERT, which packing.py knows
layers.py         its layers, in which a sentence's result does not depend on where it stands
quantization.py   weights as 8-bit integers that no CPU can saturate
rewriter.py       how a graph is changed for that
matrix_inputs.py  what enters the matrices: its range, smoothing, the levels of its integers
calibration.py    scores that can be taken for probabilities
gates.py          what a model file must pass
feeds.py          feeds for the network in its different forms; logits, latency
checkpoint.py     a checkpoint, and the digest of the file that it was loaded from
evaluation.py     the sentences that everything is measured on, and PyTorch's logits
comparison.py     an exported model against PyTorch; a sentence alone against beside others
variants.py       PyTorch and the exported models, measured
reference.py      the distributions that drift is measured against
model_file.py     models/model.onnx: the graph and its metadata
report.py         models/export_report.json
"""
