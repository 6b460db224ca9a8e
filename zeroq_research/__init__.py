"""The research bench: tables, figures, ablations, benchmarks. Imports the product, never the other way."""
