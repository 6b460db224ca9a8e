"""`python -m zeroq_asr.ablate`: an alias of `zeroq-asr ablate`, whose code is in the research bench."""

from zeroq_asr.cli import run_verb

if __name__ == "__main__":
    raise SystemExit(run_verb("ablate"))
