/* Semihosting: the debugger's (here QEMU's) files and console. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

/* Writes text to the console. */
void semihosting_print(const char *text);

/* Writes a file on the host; returns 0, or -1 when not all of it could be written. */
int semihosting_write_file(const char *path, const uint8_t *bytes, size_t length);

/* Ends the program with an exit status. */
_Noreturn void semihosting_exit(int status);

#endif
