/* Cortex-M4F start: vectors, floating-point unit, memory, main. */
#include <stdint.h>
#include <string.h>

#include "semihosting.h"
#include "startup.h"

extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];

int main(void);

/* What lies where the stack has not been yet. */
#define UNUSED 0xC5C5C5C5u

/* Coprocessor access control: bits 20 to 23 give full access to the FPU. */
#define CPACR (*(volatile uint32_t *)0xE000ED88u)

_Noreturn static void reset(void)
{
    CPACR |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    memcpy(data_start, data_load, (size_t)((char *)data_end - (char *)data_start));
    memset(bss_start, 0, (size_t)((char *)bss_end - (char *)bss_start));
    /* Everything between the variables and this function's own frame. */
    uint32_t *frame = __builtin_frame_address(0);
    for (uint32_t *word = bss_end; word < frame - 64; word++)
        *word = UNUSED;
    semihosting_exit(main());
}

uint32_t stack_used(void)
{
    const uint32_t *word = bss_end;
    while (word < stack_top && *word == UNUSED)
        word++;
    return (uint32_t)((const char *)stack_top - (const char *)word);
}

_Noreturn static void fault(void)
{
    semihosting_print("fault\n");
    semihosting_exit(101);
}

/* The initial stack pointer, reset, and the exceptions up to SysTick; no interrupt is enabled. */
typedef union {
    const void *address;
    void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.address = stack_top}, {.handler = reset}, {.handler = fault}, {.handler = fault},
    {.handler = fault},     {.handler = fault}, {.handler = fault}, {.handler = fault},
    {.handler = fault},     {.handler = fault}, {.handler = fault}, {.handler = fault},
    {.handler = fault},     {.handler = fault}, {.handler = fault}, {.handler = fault},
};
