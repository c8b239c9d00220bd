"""The errors that this project raises on purpose. This is the complete tree.

ColaError
|-- ConfigError           a setting that cannot be used
|-- CorpusError           a corpus that is missing or malformed
|-- WeightsError          base weights that cannot be found or are not the expected ones
|-- CheckpointError       a checkpoint, or its export's report, that is missing or damaged
|-- Interrupted           a run that was stopped on request and can be resumed
|-- ExportError           a model that did not pass an export gate
|-- ModelFileError        a model.onnx that is missing, damaged or incomplete
|-- InvalidText           (also a ValueError) a text that no prediction can be made for
|-- RequestError          a request that is answered with an HTTP status and a code
|-- QueueFullError        more sentences are waiting than the server accepts
|-- StoreError            the model store or DVC failed
|-- DeployError           something on AWS is not as a command needs it
|-- PayloadError          a log subscription event that cannot be read
`-- ElasticError          Elasticsearch or Kibana refused a request, or could not be reached
    `-- DeliveryError     log documents were not delivered in time

A command reports each of them in one line and ends with exit code 2, or 130 if it was interrupted
(``commands/run.py``); a server answers with one. Standard library only: the forwarder's zip file
holds this module.
"""


class ColaError(Exception):
    """Root of the tree. The message is one line: what was wrong and what fixes it."""


class ConfigError(ColaError):
    """A setting that cannot be used."""


class CorpusError(ColaError):
    """A corpus that is missing or malformed; the message names file and line."""


class WeightsError(ColaError):
    """Base weights that cannot be found or are not the expected ones."""


class CheckpointError(ColaError):
    """A checkpoint that is missing, damaged or another program's, or a damaged export report."""


class Interrupted(ColaError):
    """A run that was stopped on request; the message says how to resume it."""


class ExportError(ColaError):
    """A model that did not pass an export gate; the message says which and by how much."""


class ModelFileError(ColaError):
    """A model.onnx that is missing, damaged or incomplete."""


class InvalidText(ColaError, ValueError):
    """A text that no prediction can be made for; the message says what to change."""


class RequestError(ColaError):
    """A request that is answered with an error.

    Attributes:
        status: The HTTP status.
        code: What went wrong, for programs; the message is for people.
        headers: HTTP headers that the answer has in addition.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers or {}


class QueueFullError(ColaError):
    """More sentences are waiting than MAX_WAITING allows; the caller may try again later."""


class StoreError(ColaError):
    """The model store or DVC failed; the message says what fixes it."""


class DeployError(ColaError):
    """Something on AWS is not as a command needs it; the message says what fixes it.

    Attributes:
        code: AWS's own name of the error, or the status of the REST API's answer; else empty.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(" ".join(message.split()))
        self.code = code


class PayloadError(ColaError):
    """A log subscription event that cannot be read; Lambda moves it to the dead-letter queue."""


class ElasticError(ColaError):
    """Elasticsearch or Kibana refused a request, or could not be reached.

    Attributes:
        status: The HTTP status; 0 if the server could not be reached.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class DeliveryError(ElasticError):
    """Log documents were not delivered in time; the batch has to be delivered again."""
