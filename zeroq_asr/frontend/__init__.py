"""From audio files to the features that a model reads."""
