// What the register header wants of it; a compiler without a C library has no such file.
#define static_assert _Static_assert
