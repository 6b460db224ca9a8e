"""What all command lines share: exit codes and one-line errors, the flags with one meaning, progress, the verbs."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec

from zeroq_asr.config import METHODS, NONLINEAR, RANGE_METHODS, QuantizeConfig, parse_methods
from zeroq_asr.errors import ConfigError, ZeroqError, extras_named

PRODUCT_VERBS = ("generate", "quantize", "evaluate", "transcribe", "inspect", "verify", "export", "ranges", "demo")
RESEARCH_VERBS = ("table", "reproduce", "analyze", "ablate", "benchmark")
VERBS: dict[str, str] = {
    **{verb: f"zeroq_asr.{verb}" for verb in PRODUCT_VERBS},
    **{verb: f"zeroq_research.cli.{verb}" for verb in RESEARCH_VERBS},
}
"""Verb -> the module whose `main` runs it. The product holds the names of the research bench, it never imports it."""

_FLAGS: dict[str, dict[str, object]] = {
    "model": {
        "metavar": "MODEL",
        "help": "a .nemo file, a quantized file, the name of a shipped model or of a published size (random weights), "
        "or an NGC / Hugging Face name",
    },
    "float_model": {
        "metavar": "MODEL",
        "help": "a .nemo file, the name of a shipped model or of a published size (random weights), or an NGC / "
        "Hugging Face name",
    },
    "data": {"metavar": "FILE", "help": "synthetic data made by `generate`"},
    "manifest": {
        "metavar": "FILE",
        "action": "append",
        "help": "NeMo manifest, or the name of a shipped set (clean, other); repeatable",
    },
    "seed": {"type": int, "metavar": "N", "help": "seed of every random choice"},
    "threads": {"type": int, "metavar": "N", "help": "threads to compute with"},
    "output": {"metavar": "PATH", "help": "where the result goes"},
    "json": {"metavar": "FILE", "help": "also write the result as JSON"},
    "quiet": {"action": "store_true", "help": "no progress, only the result"},
    "resume": {"action": "store_true", "help": "go on where an interrupted run stopped"},
    "device": {"metavar": "NAME", "help": "torch device of the float model: cpu, cuda"},
    "ranges": {
        "choices": RANGE_METHODS,
        "help": "how clipping ranges follow from the calibration data: extremes, a percentile of |x|, least squared "
        "error, least divergence of the histogram as in TensorRT",
    },
    "percentile": {"type": float, "metavar": "P", "help": "of |x|, for --observer percentile"},
    "nonlinear": {
        "choices": NONLINEAR,
        "help": "swish, GLU, ...: second-order polynomials on exact accumulators, or exact tables of rounded codes",
    },
    "methods": {
        "nargs": "+",
        "choices": ("none", *METHODS),
        "metavar": "METHOD",
        "help": f"methods that reduce the error of the weights: none, or some of {', '.join(METHODS)}",
    },
}

_FLAG_NAMES: dict[str, tuple[str, ...]] = {
    "float_model": ("--model",),
    "ranges": ("--observer", "--ranges"),
    "methods": ("--weight-methods", "--methods"),
}
"""Spellings of a flag where they are not `--NAME`; the last one is the former spelling and names the attribute."""


def add_common_flags(parser: argparse.ArgumentParser, *names: str, several: bool = False, **defaults: object) -> None:
    """Add flags that mean the same in every verb; `defaults` come from `zeroq_asr.config`.

    float_model: --model where only a float model will do.

    several: each may be given more than once, and each time asks for results of its own; None where it was not given.
    """
    for name in names:
        options = dict(_FLAGS[name])
        if several:
            options["action"] = "append"
            options["help"] = f"{options['help']}; repeatable, each time gives rows of its own"
        if name in defaults:
            default = defaults[name]
            if not several:
                options["default"] = default
            if default is not None and options.get("action") in (None, "append"):
                shown = " ".join(default) if isinstance(default, tuple) else default
                options["help"] = f"{options['help']} (default: {shown})"
        flags = _FLAG_NAMES.get(name, (f"--{name}",))
        parser.add_argument(*flags, dest=flags[-1].removeprefix("--"), **options)  # type: ignore[arg-type]


def add_quantize_flags(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add --observer, --percentile and --weight-methods; `several`: repeatable."""
    usual = QuantizeConfig()
    chosen = {"ranges": usual.range_method, "percentile": usual.percentile, "methods": usual.methods}
    add_common_flags(parser, *chosen, several=several, **chosen)


def chosen_config(arguments: argparse.Namespace, config: QuantizeConfig) -> QuantizeConfig:
    """`config` with what the flags of `add_quantize_flags` ask for. Raises ConfigError."""
    methods = parse_methods(arguments.methods)
    check_percentile([arguments.ranges], [arguments.percentile])
    return replace(config, range_method=arguments.ranges, percentile=arguments.percentile, methods=methods)


def chosen_configs(arguments: argparse.Namespace, config: QuantizeConfig) -> tuple[QuantizeConfig, ...]:
    """The same for repeatable flags: every choice of methods with every one of ranges; every percentile is one."""
    check_percentile(arguments.ranges or [config.range_method], arguments.percentile or ())
    made = [
        replace(config, range_method=way, percentile=percentile, methods=parse_methods(words))
        for words in arguments.methods or [config.methods]
        for way in arguments.ranges or [config.range_method]
        for percentile in (arguments.percentile if way == "percentile" else None) or [config.percentile]
    ]
    return tuple(dict.fromkeys(made))


def check_percentile(ranges: Sequence[str], percentiles: Sequence[float]) -> None:
    """Raise ConfigError for percentiles, the default's apart, that none of `ranges` would use."""
    asked = [percentile for percentile in percentiles if percentile != QuantizeConfig.percentile]
    if asked and "percentile" not in ranges:
        raise ConfigError(
            f"--percentile: expected --observer percentile, got {asked[0]:g} with --observer {' '.join(ranges)}; "
            "remove one of the two options"
        )


def run(
    function: Callable[[argparse.Namespace], int | None],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
) -> int:
    """Parse `argv`, call `function` and return its exit code: 0 done, 2 a user's error in one line, 130 interrupted."""
    arguments = parser.parse_args(argv)
    # Before torch is loaded: its threads then sleep while they wait for each other. Spinning, two threads on two busy
    # cores took 20 s for a step that takes 0.5 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        _check_numbers(arguments)
        with extras_named():
            return function(arguments) or 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output closed it (`... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except Exception as error:
        if isinstance(error, ZeroqError) or _is_base_package_error(error):
            print(f"error: {error}", file=sys.stderr)
            return 2
        raise


def _check_numbers(arguments: argparse.Namespace) -> None:
    """Refuse seeds and threads that no verb can use, before any work is done."""
    for name, least, most in (("seed", 0, 2**63 - 1), ("threads", 1, 256)):
        value = getattr(arguments, name, None)
        if isinstance(value, int) and not least <= value <= most:
            raise ConfigError(f"--{name}: expected {least} to {most}, got {value}")


def _is_base_package_error(error: Exception) -> bool:
    """Tell whether a base package raised `error`, without importing one that did not."""
    bases = {("int_kernels.errors", "KernelError"), ("synth.errors", "SynthError"), ("eval.errors", "EvalError")}
    return any((base.__module__, base.__name__) in bases for base in type(error).__mro__)


class Progress:
    """Counts steps: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, total: int, description: str, quiet: bool) -> None:
        self._total, self._description, self._done = total, description, 0
        self._started = self._printed = time.monotonic()
        self._bar = None
        self._quiet = quiet
        if not quiet and sys.stderr.isatty() and find_spec("tqdm") is not None:  # tqdm comes with the extra `quantize`
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=description, file=sys.stderr, dynamic_ncols=True)

    def advance(self, note: str = "") -> None:
        """Count one step; `note` is shown behind it."""
        self._done += 1
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update()
        elif not self._quiet:
            now = time.monotonic()
            if now - self._printed >= 5 or self._done == self._total:
                self._printed = now
                left = (now - self._started) / self._done * (self._total - self._done)
                print(
                    f"{self._description}: {self._done}/{self._total}, {left:.0f} s left {note}".rstrip(),
                    file=sys.stderr,
                    flush=True,
                )

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()


@contextmanager
def progress(total: int, description: str, quiet: bool = False) -> Iterator[Progress]:
    """Show how far a loop of `total` steps has come.

    >>> with progress(len(batches), "calibrate", quiet) as bar:
    ...     for batch in batches:
    ...         bar.advance()
    """
    bar = Progress(total, description, quiet)
    try:
        yield bar
    finally:
        bar.close()


def main(argv: Sequence[str] | None = None) -> int:
    """The console script `zeroq-asr VERB ...`: the same as `python -m zeroq_asr.VERB ...`."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: zeroq-asr {{{','.join(VERBS)}}} ...\n\nEach verb has its own --help.")
        return 0 if words else 2
    if words[0] not in VERBS:
        print(f"error: zeroq-asr: expected one of {', '.join(VERBS)}, got {words[0]!r}", file=sys.stderr)
        return 2
    return run_verb(words[0], words[1:])


def run_verb(verb: str, argv: Sequence[str] | None = None) -> int:
    """Run `main` of the verb's module on `argv` and return its exit code."""
    try:
        module = importlib.import_module(VERBS[verb])
    except ModuleNotFoundError as error:
        if verb in RESEARCH_VERBS and error.name == "zeroq_research":
            print(
                f"error: zeroq-asr {verb}: expected the research bench, which is not part of the wheel; run it in a "
                "clone of the repository after `pip install -e '.[research]'`",
                file=sys.stderr,
            )
            return 2
        raise
    result: int = module.main(argv)
    return result
