"""Chapter 6: predict with models/model.onnx; needs no torch.

    python inference_onnx.py "The boy is sitting on a bench"
    python inference_onnx.py --input corpus.csv --output predictions.jsonl

Everything comes from the model file itself: tokenizer, labels, limits, lineage. Sentences are
packed instead of padded: several share a row (see prediction/onnx_predictor.py). COLA_THREADS sets
how many rows run side by side; the default is the cores that the process may use, container limits
included.
"""

from commands.run import run_command
from prediction.command_line import main
from prediction.onnx_predictor import ColaONNXPredictor

__all__ = ["ColaONNXPredictor"]

if __name__ == "__main__":
    run_command(lambda: main(ColaONNXPredictor, __doc__ or "", "models/model.onnx"))
