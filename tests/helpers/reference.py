"""A model's reference distributions, as a validation run could have recorded them."""

from monitoring.reference import ReferenceModel
from prediction import model_file
from prediction.model_file import Histogram

DISTRIBUTIONS = model_file.Reference(
    count=200,
    labels={"acceptable": 0.7, "unacceptable": 0.3},
    score_histogram=Histogram([n / 20 for n in range(21)], shares=[n / 190 for n in range(20)]),
    length_histogram=Histogram([0, 10, 20], shares=[0.5, 0.5]),
    unknown_token_rate=0.001,
    low_confidence_share=0.25,
    expected_accuracy=0.8,
    accuracy=0.79,
)
REFERENCE = ReferenceModel("0123456789ab", DISTRIBUTIONS)
