"""From audio to log-mel features."""
