"""FastAPI around a transformers pipeline, the most common recipe; two workers, one thread each."""

import os

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

torch.set_num_threads(1)
classify = pipeline("text-classification", model=os.environ["WEIGHTS"], device="cpu")
app = FastAPI()


class Body(BaseModel):
    """What a request holds."""

    sentence: str


# Without a return type, which FastAPI would check each answer against.
@app.post("/predict")
def predict(body: Body):
    """Predict one sentence."""
    return classify(body.sentence)


if __name__ == "__main__":
    uvicorn.run(
        "pipeline:app",
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        workers=2,
        log_level="warning",
        access_log=False,
    )
