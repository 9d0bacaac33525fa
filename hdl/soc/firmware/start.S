# Where the processor begins: stack, variables, main. A trap that nobody wants waits for the watchdog.
# The stack's top is the memory's end, which the register `shape` tells: one image for any size.
    .equ SHAPE, 0x80000004
    .section .init, "ax"
    .globl _start
_start:
    li t0, SHAPE
    lw sp, 0(t0)
    la t0, trap
    csrw mtvec, t0
    la t0, data_image
    la t1, data_begin
    la t2, data_end
copy:
    bgeu t1, t2, clear_begin
    lw t3, 0(t0)
    sw t3, 0(t1)
    addi t0, t0, 4
    addi t1, t1, 4
    j copy
clear_begin:
    la t1, bss_begin
    la t2, bss_end
clear:
    bgeu t1, t2, run
    sw zero, 0(t1)
    addi t1, t1, 4
    j clear
run:
    call main
trap:
    j trap
