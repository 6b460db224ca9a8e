"""From a checkpoint to a float graph: one builder per encoder family, and readers for untrusted files."""

from zeroq_asr.adapters.float_model import FloatModel, fingerprint
from zeroq_asr.adapters.nemo.load import from_nemo_object, load_nemo_file

__all__ = ["FloatModel", "fingerprint", "from_nemo_object", "load_nemo_file"]
