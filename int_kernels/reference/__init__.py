"""The reference executor: slow, short, obvious, and right by definition. Making it fast is an error."""

from int_kernels.backends.reference import ReferenceExecutable

__all__ = ["ReferenceExecutable"]
