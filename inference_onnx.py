"""Predict with models/model.onnx: onnxruntime, tokenizers, numpy and the standard library, no torch.

    python inference_onnx.py "The boy is sitting on a bench"
    python inference_onnx.py --input corpus.csv --output predictions.jsonl

Everything comes from the model file itself: tokenizer, labels, limits, lineage. Sentences are packed, not
padded: several share a row, `attention_mask` numbers them, and each answers with its own row of logits.
Rows run side by side, one core each: more threads for one row pay only where there is no other row to run.
COLA_THREADS sets how many; the default is the cores that the process may use, container limits included.
"""

from commands.run import run_command
from prediction.command_line import main
from prediction.onnx_predictor import ColaONNXPredictor

__all__ = ["ColaONNXPredictor"]

if __name__ == "__main__":
    run_command(lambda: main(ColaONNXPredictor, __doc__ or "", "models/model.onnx"))
