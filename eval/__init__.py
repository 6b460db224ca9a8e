"""Evaluation of speech recognisers: manifests, CTC decoding, error rates with intervals, and costs.

The package has the name of a Python builtin: write `from eval.wer import score`, never `import eval`.
It needs numpy and jiwer and does not depend on models.
"""

from eval.errors import EvalError as EvalError
