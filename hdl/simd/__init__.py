"""Multi-precision SIMD MAC engines."""
