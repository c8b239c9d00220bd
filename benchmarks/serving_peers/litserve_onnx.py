"""LitServe with ONNX Runtime.

``SETTING=workers``: two workers, one sentence at a time; ``batches``: one worker, in batches.
"""

import os

import litserve
from onnx_model import Model

BATCHES = os.environ["SETTING"] == "batches"


class Api(litserve.LitAPI):
    """The model behind ``POST /predict``; LitServe calls these methods in this order.

    They have no annotations, because LitServe would check requests and answers against them.
    """

    def setup(self, device):
        """Load the model in a worker."""
        self.model = Model(threads=2 if BATCHES else 1)

    def decode_request(self, request):
        """Return the sentence of a request."""
        return request["sentence"]

    def batch(self, inputs):
        """Return several sentences as the model takes them."""
        return list(inputs)

    def predict(self, texts):
        """Predict one sentence, or several if batches are made."""
        return self.model(texts) if BATCHES else self.model([texts])[0]

    def unbatch(self, output):
        """Return an answer per request."""
        return output

    def encode_response(self, output):
        """Return an answer as JSON."""
        return output


if __name__ == "__main__":
    api = Api(max_batch_size=16, batch_timeout=0.002) if BATCHES else Api()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1 if BATCHES else 2)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        generate_client_file=False,
        log_level="warning",
    )
