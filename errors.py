"""The errors that this project raises on purpose, and how a command reports them: one line, exit code 2.

ColaError                 what was wrong, and the setting or the command that mends it
|-- ConfigError           a setting that cannot be used
|-- CorpusError           a corpus that is missing or malformed
|-- WeightsError          base weights that cannot be found or are not the ones expected
|-- CheckpointError       a checkpoint that is missing, damaged or from another program
|-- Interrupted           the run was stopped on request and can be resumed
|-- ExportError           a model that did not pass an export gate
|-- ModelFileError        a model.onnx that is missing, damaged or incomplete
`-- InvalidText           (also a ValueError) a text that no prediction can be made for
"""


class ColaError(Exception):
    """Root of the tree. The message is one line: what was wrong and what mends it."""


class ConfigError(ColaError):
    """A setting that cannot be used."""


class CorpusError(ColaError):
    """A corpus that is missing or malformed; the message names file and line."""


class WeightsError(ColaError):
    """Base weights that cannot be found or are not the ones expected."""


class CheckpointError(ColaError):
    """A checkpoint that is missing, damaged or from another program."""


class Interrupted(ColaError):
    """The run was stopped on request; the message says how to resume it."""


class ExportError(ColaError):
    """A model that did not pass an export gate; the message says which and by how much."""


class ModelFileError(ColaError):
    """A model.onnx that is missing, damaged or incomplete."""


class InvalidText(ColaError, ValueError):
    """A text that no prediction can be made for."""
