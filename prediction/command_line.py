"""The command line that inference.py and inference_onnx.py share.

    python inference_onnx.py "The boy is sitting on a bench" "The boy are sitting on a bench"
    python inference_onnx.py --input corpus.csv --output predictions.jsonl --resume
    cat corpus.txt | python inference_onnx.py --input - --json

Reads sentences as arguments or from a file: .txt (one per line), .jsonl (strings, or objects with
`sentence` or `text`), .csv (with such a column); `-` is standard input, read like .txt. A file is
streamed: memory does not grow with it. Each of its records gives one line of output, in order; one
that cannot be predicted gives `{"text": ..., "error": ...}`.
"""

import argparse
from collections.abc import Callable

from prediction.printing import show
from prediction.stream import Stream
from prediction.types import TextPredictor


def main(open_predictor: Callable[[str], TextPredictor], doc: str, default_model: str) -> None:
    """Run the command.

    Args:
        open_predictor: Makes the predictor of the file that ``--model`` names.
        doc: The script's docstring; its first line describes the command.
        default_model: The model file if ``--model`` is not given.

    Raises:
        ColaError: A file cannot be used, or a sentence given as an argument cannot be predicted.
    """
    options = parse_arguments(doc, default_model)
    predictor = open_predictor(options.model)
    if options.input:
        Stream(predictor, options.input, options.output, options.resume, options.json).run()
    else:
        predictions = predictor.predict_many(options.sentences)
        show([prediction.as_dict() for prediction in predictions], options.json)


def parse_arguments(doc: str, default_model: str) -> argparse.Namespace:
    """Return the options of the command; end the process if they contradict each other."""
    parser = argparse.ArgumentParser(
        description=doc.splitlines()[0],
        epilog=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    # What to predict.
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE", help="a sentence to predict")
    parser.add_argument(
        "--input", metavar="FILE", help=".txt, .jsonl or .csv; - for standard input"
    )

    # Where the answers go.
    parser.add_argument(
        "--output", metavar="FILE", help="where JSON lines go, instead of standard output"
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted output")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")

    # Who predicts it.
    parser.add_argument(
        "--model", default=default_model, metavar="FILE", help="default: %(default)s"
    )

    options = parser.parse_args()
    if bool(options.sentences) == bool(options.input):
        parser.error("give sentences, or a file with --input")
    if options.output == "-":
        parser.error("--output -: leave it out; standard output is the default")
    if options.output and not options.input:
        parser.error("--output needs --input")
    if options.resume and not options.output:
        parser.error("--resume needs --input and --output")
    return options
