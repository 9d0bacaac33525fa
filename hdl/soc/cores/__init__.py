"""RISC-V cores of other people, as the processor takes them."""
