"""LitServe with ONNX Runtime. SETTING=workers: two workers, one sentence at a time; batches: one, batching."""

import os

import litserve
from onnx_model import Model

BATCHES = os.environ["SETTING"] == "batches"


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = Model(threads=2 if BATCHES else 1)

    def decode_request(self, request):
        return request["sentence"]

    def batch(self, inputs):
        return list(inputs)

    def predict(self, texts):
        return self.model(texts) if BATCHES else self.model([texts])[0]

    def unbatch(self, output):
        return output

    def encode_response(self, output):
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
