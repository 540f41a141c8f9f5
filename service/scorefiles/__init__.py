"""Scoring files (文件测算): a scheme file and tables of values in, the same result as the server's out.

No database, no settings, no network: anyone can check a board on a laptop. `read_files` reads and checks, and raises
`FaultyFilesError` with every fault of every file; `score` computes; `result_bytes` and `explained` tell.
`kaoping score --help` describes the formats.
"""

from service.scorefiles.faults import FaultyFilesError, FileFault
from service.scorefiles.guide import example_text, rules_text
from service.scorefiles.inputs import Files, Inputs, read_files
from service.scorefiles.results import explained, result_bytes, result_document, robustness_document
from service.scorefiles.shape import misshapen, schema_text
from service.scorefiles.trials import Trial, difference_rows, differences_text, read_trial
from service.scoring import Result, compute

__all__ = [
    "FaultyFilesError",
    "FileFault",
    "Files",
    "Inputs",
    "Trial",
    "difference_rows",
    "differences_text",
    "example_text",
    "explained",
    "misshapen",
    "read_files",
    "read_trial",
    "result_bytes",
    "result_document",
    "robustness_document",
    "rules_text",
    "schema_text",
    "score",
]


def score(inputs: Inputs) -> Result:
    """Compute what the files say."""
    return compute(inputs.scheme, inputs.snapshot)
