//! From the first instruction to `main`: vectors, floating point and NEON, stack, and memory that begins as zeros.

use core::arch::global_asm;

use cfm_boards::host::leave;
use cfm_boards::stack::PAINT;

// In Arm state, as the processor starts. Every exception ends the program: none is expected, as interrupts stay off and
// semihosting calls do not get to the vectors when an emulator or a debugger serves them. When nobody does, the call that
// ends the program is an exception, too, and this second one stops.
global_asm!(
    ".section .vectors, \"ax\"",
    ".arm",
    ".global _start",
    ".balign 32",
    "_start:",
    "b 2f",         // reset
    "b 1f",         // undefined instruction
    "b 1f",         // supervisor call
    "b 1f",         // prefetch abort
    "b 1f",         // data abort
    "b 1f",         // unused
    "b 1f",         // interrupt
    "b 1f",         // fast interrupt
    "1: ldr r0, =_stopped",
    "mcr p15, 0, r0, c12, c0, 0",
    "isb",
    "ldr sp, =_stack_start", // an exception's mode has a stack pointer of its own
    "bl {exception}",
    "b .",
    // The vectors after an exception.
    ".balign 32",
    "_stopped:",
    ".rept 8",
    "b .",
    ".endr",
    "2:",
    "cpsid if",
    // Only the first core goes on.
    "mrc p15, 0, r0, c0, c0, 5",
    "ands r0, r0, #3",
    "3: wfene",
    "bne 3b",
    // Exceptions use the vectors above; low vectors, strict alignment off.
    "ldr r0, =_start",
    "mcr p15, 0, r0, c12, c0, 0",
    "mrc p15, 0, r0, c1, c0, 0",
    "bic r0, r0, #(1 << 13)",
    "bic r0, r0, #(1 << 1)",
    "mcr p15, 0, r0, c1, c0, 0",
    "isb",
    // Coprocessors 10 and 11 (floating point and NEON) for everybody, then on.
    "mrc p15, 0, r0, c1, c0, 2",
    "orr r0, r0, #(0xf << 20)",
    "mcr p15, 0, r0, c1, c0, 2",
    "isb",
    "mov r0, #(1 << 30)",
    "vmsr fpexc, r0",
    // Memory that begins as zeros.
    "ldr r0, =__sbss",
    "ldr r1, =__ebss",
    "mov r2, #0",
    "4: cmp r0, r1",
    "strlo r2, [r0], #4",
    "blo 4b",
    // Paint for measuring the stack.
    "ldr r0, =_stack_end",
    "ldr r1, =_stack_start",
    "ldr r2, ={paint}",
    "5: cmp r0, r1",
    "strlo r2, [r0], #4",
    "blo 5b",
    "ldr sp, =_stack_start",
    "bl main",
    "b .",
    ".ltorg",
    paint = const PAINT,
    exception = sym exception,
);

/// Where every exception ends.
extern "C" fn exception() -> ! {
    leave(false)
}
