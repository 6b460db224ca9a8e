"""What `--model` may say: files, shipped models, published sizes, hub names."""
