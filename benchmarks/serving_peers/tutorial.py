"""The way of a tutorial: transformers' tokenizer, padding to 128, one blocking call per request."""

import os

import numpy as np
import onnxruntime as ort

# A tutorial's service takes its tokenizer from the data module, and so loads these two.
import pytorch_lightning  # noqa: F401
import torch  # noqa: F401
import uvicorn
from fastapi import FastAPI
from scipy.special import softmax
from transformers import AutoTokenizer

LABELS = ("unacceptable", "acceptable")

tokenizer = AutoTokenizer.from_pretrained(os.environ["WEIGHTS"])
session = ort.InferenceSession(os.environ["ONNX"], providers=["CPUExecutionProvider"])
app = FastAPI()


@app.get("/predict")
async def predict(text: str):
    """Return the score of each label."""
    encoded = tokenizer(text, truncation=True, padding="max_length", max_length=128)
    feed = {
        name: np.expand_dims(encoded[name], 0).astype(np.int64)
        for name in ("input_ids", "attention_mask")
    }

    scores = softmax(session.run(None, feed)[0])[0]
    return [
        {"label": label, "score": float(score)} for label, score in zip(LABELS, scores, strict=True)
    ]


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
