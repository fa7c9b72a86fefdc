#include "semihosting.h"

#include <string.h>

/* Operations of "Semihosting for AArch32 and AArch64". */
enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_EXIT_EXTENDED = 0x20 };

#define ADP_STOPPED_APPLICATION_EXIT 0x20026u
#define MODE_WB 5u

static int32_t call(uint32_t operation, const void *parameters)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameters;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

void semihosting_print(const char *text)
{
    call(SYS_WRITE0, text);
}

int semihosting_write_file(const char *path, const uint8_t *bytes, size_t length)
{
    const uint32_t open[] = {(uint32_t)path, MODE_WB, strlen(path)};
    int32_t file = call(SYS_OPEN, open);
    if (file < 0)
        return -1;
    const uint32_t write[] = {(uint32_t)file, (uint32_t)bytes, length};
    const uint32_t close[] = {(uint32_t)file};
    /* What SYS_WRITE returns is the number of bytes that were not written. */
    int32_t left = call(SYS_WRITE, write);
    int32_t closed = call(SYS_CLOSE, close);
    return left == 0 && closed == 0 ? 0 : -1;
}

void semihosting_exit(int status)
{
    const uint32_t block[] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)status};
    for (;;)
        call(SYS_EXIT_EXTENDED, block);
}
