#ifndef STARTUP_H
#define STARTUP_H

#include <stdint.h>

/* Bytes of stack that the program has used so far, at its deepest. */
uint32_t stack_used(void);

#endif
