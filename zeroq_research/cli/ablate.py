"""`zeroq-asr ablate`: the effect of each part of the calibration of a model, one part changed at a time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

from zeroq_asr.cli import add_common_flags, add_quantize_flags, chosen_config, progress, run
from zeroq_asr.config import ABLATION_BITS, ABLATION_SEEDS, PRESET, PRESETS, THREADS, GenerateConfig, QuantizeConfig
from zeroq_asr.errors import ConfigError


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="zeroq-asr ablate", description=__doc__)
    add_common_flags(parser, "float_model", "manifest")
    parser.add_argument(
        "--real", default="clean", metavar="FILE", help="speech that ranges are compared with (default: clean)"
    )
    parser.add_argument(
        "--bits", type=int, nargs="+", default=list(ABLATION_BITS), metavar="N", help="weight bits (default: 8 6)"
    )
    parser.add_argument("--act-bits", type=int, default=QuantizeConfig.act_bits, metavar="N", help="activation bits")
    add_quantize_flags(parser)
    parser.add_argument(
        "--preset", choices=PRESETS, default=PRESET, help="settings that the variants change (default: %(default)s)"
    )
    parser.add_argument("--batches", type=int, metavar="N", help="batches of each variant (default: the preset's)")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help="only variants whose name contains one of these words, and the preset"
    )
    parser.add_argument(
        "--seeds", type=int, default=ABLATION_SEEDS, metavar="N", help="independent runs (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N utterances of each set")
    parser.add_argument("--markdown", metavar="FILE", help="also write the table as Markdown")
    add_common_flags(parser, "threads", "json", "quiet", threads=THREADS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.seeds <= 100:
        raise ConfigError(f"--seeds: expected 1 to 100, got {arguments.seeds}")
    generate = GenerateConfig.of_preset(arguments.preset)
    if arguments.batches is not None:
        generate = replace(generate, batches=arguments.batches)
    usual = chosen_config(arguments, QuantizeConfig(act_bits=arguments.act_bits))
    configs = tuple(replace(usual, bits=bits) for bits in dict.fromkeys(arguments.bits))
    from zeroq_asr.files import write_atomically
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.models.shipped import DEFAULT_MODEL, shipped_sets
    from zeroq_asr.pipelines.evaluate import TestSet, read_test_set
    from zeroq_research.ablation import Ablation, AblationPlan, ablation_table, standard_variants

    variants = standard_variants(generate, configs[0])
    if arguments.only:
        variants = tuple(
            v for v in variants if not (v.changes or v.ranges) or any(word in v.name for word in arguments.only)
        )
    plan = AblationPlan(generate, variants, configs, tuple(range(arguments.seeds)), arguments.threads)
    sets = [read_test_set(name, arguments.limit) for name in dict.fromkeys(arguments.manifest or shipped_sets())]
    pooled = TestSet(" + ".join(s.name for s in sets), tuple(u for s in sets for u in s.utterances))
    model = load_float_model(arguments.model or DEFAULT_MODEL)
    ablation = Ablation(model, plan, read_test_set(arguments.real), pooled)
    with progress(ablation.count_steps(), "ablate", arguments.quiet) as bar:
        rows = ablation.run(bar.advance)
    table = ablation_table(rows, f"{model.name} on {pooled.name}", ablation.float_wer, configs)
    print(table.to_markdown(), end="", flush=True)
    if arguments.markdown:
        write_atomically(arguments.markdown, table.to_markdown().encode())
    if arguments.json:
        write_atomically(arguments.json, (json.dumps({"results": rows}, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
