"""`python -m zeroq_asr.analyze`: an alias of `zeroq-asr analyze`, whose code is in the research bench."""

from zeroq_asr.cli import run_verb

if __name__ == "__main__":
    raise SystemExit(run_verb("analyze"))
