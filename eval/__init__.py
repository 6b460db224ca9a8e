"""Evaluation of speech recognisers: manifests, CTC decoding, error rates with intervals, and costs.

The package shares its name with a Python builtin: write `from eval.wer import score`, never `import eval`.
It needs numpy and jiwer, and knows nothing of models.
"""

from eval.errors import EvalError as EvalError
