# Two images from one runtime stage: the API (target `api`) and the Lambda function (target `lambda`).
#
#   docker build --target api -t cola:api .
#   docker build --target lambda -t cola:lambda .
#
# Nothing here needs a compiler or a shell at run time; both run read-only, as nobody, without capabilities.
ARG BASE=python:3.11-slim-bookworm

# A stage of its own, so that a new model does not install the packages again.
FROM ${BASE} AS model
WORKDIR /model
# A glob that may match nothing, so that a missing model gets a message of ours.
COPY errors.py models/model.onn[x] ./
RUN test -f model.onnx || { echo "models/model.onnx is missing: run 'make train' or 'make model-pull' first" >&2; exit 1; }
# The file may be its owner's only, as after a download under a strict umask.
RUN chmod a+r model.onnx

FROM ${BASE} AS build
WORKDIR /app
# The locks (`make lock`) name every package and the hashes of its files, and leave out what tokenizers and
# onnxruntime declare but serving never imports: hence --no-deps.
COPY infra/lock_inference.txt infra/lock_lambda.txt locks/
RUN pip install -q --no-cache-dir --no-compile --no-deps --only-binary :all: --require-hashes \
      --target /opt/site -r locks/lock_inference.txt \
 && pip install -q --no-cache-dir --no-compile --no-deps --only-binary :all: --require-hashes \
      --target /opt/lambda -r locks/lock_lambda.txt \
 && cd /opt/site && rm -rf bin onnxruntime/transformers onnxruntime/quantization onnxruntime/tools \
      onnxruntime/datasets numpy/f2py numpy/distutils \
 && find /opt -depth \( -type d -name tests -o -name '*.pyi' \) -exec rm -rf {} +
COPY app.py lambda_handler.py errors.py ./
COPY commands commands
COPY prediction prediction
COPY serving serving
COPY --from=model /model /model
# Import once what the servers import: on a read-only root nobody can write bytecode later, and the standard
# library of the official images comes without it.
RUN chmod -R a+rX /app \
 && MODEL_PATH=/model/model.onnx PYTHONPYCACHEPREFIX=/opt/bytecode PYTHONPATH=/opt/site:/opt/lambda python -c \
      "import app, lambda_handler, awslambdaric.__main__, uvicorn; \
       uvicorn.Config(app, loop='uvloop', http='httptools', ws='none').load()" >/dev/null \
 && rm -rf locks

FROM ${BASE} AS runtime
# ORT_DISABLE_TELEMETRY: from 1.31 on, ONNX Runtime reports to its maker unless told not to.
ENV PYTHONPATH=/opt/site PYTHONPYCACHEPREFIX=/opt/bytecode PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /app
COPY --from=build /opt/site /opt/site
COPY --from=build /opt/bytecode /opt/bytecode
COPY --from=build /app /app
USER 65532:65532

FROM runtime AS lambda
ENV PYTHONPATH=/opt/site:/opt/lambda
COPY --from=build /opt/lambda /opt/lambda
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["lambda_handler.lambda_handler"]
COPY --from=model /model/model.onnx models/model.onnx

FROM runtime AS api
ENV HOST=0.0.0.0 PORT=8000
EXPOSE 8000
# An opener without a proxy: http_proxy may be set for the service's sake.
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s --retries=3 \
  CMD ["python", "-S", "-c", "import urllib.request as r, os; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + (os.environ['PORT'].strip() or '8000') + '/ready')"]
ENTRYPOINT ["python", "app.py"]
COPY --from=model /model/model.onnx models/model.onnx
