"""Single instructions of NVIDIA's GPUs: sources, compilation, layouts, launch."""

from hwsim.verify.cuda.kernels import ARCH, KERNELS, TARGETS, Kernel, Product, for_target, get

__all__ = ["ARCH", "KERNELS", "TARGETS", "Kernel", "Product", "for_target", "get"]
