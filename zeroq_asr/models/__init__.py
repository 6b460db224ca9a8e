"""The models that `--model` accepts: files, shipped models, published sizes, hub names."""
