"""The reference executor: slow, short, obvious, and right by definition. Making it fast is an error."""

from int_kernels.reference.executable import ReferenceExecutable

__all__ = ["ReferenceExecutable"]
