/* Cortex-M4F start: vectors, floating-point unit, memory, main. */
#include <stdint.h>
#include <string.h>

#include "semihosting.h"

extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];

int main(void);

/* Coprocessor access control: bits 20 to 23 give full access to the FPU. */
#define CPACR (*(volatile uint32_t *)0xE000ED88u)

_Noreturn static void reset(void)
{
    CPACR |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    memcpy(data_start, data_load, (size_t)((char *)data_end - (char *)data_start));
    memset(bss_start, 0, (size_t)((char *)bss_end - (char *)bss_start));
    semihosting_exit(main());
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
