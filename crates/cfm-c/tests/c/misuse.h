/* Wrong use of the library, on a host or on a target: every call must be refused with the right code. */
#ifndef MISUSE_H
#define MISUSE_H

#include "cfm.h"

/* Told of every check: what was done, which code came, which one should have. */
typedef void (*misuse_report)(const char *what, cfm_error got, cfm_error expected);

/* Returns the number of checks whose code is wrong. `checks` becomes the number of checks. */
int misuse_check(misuse_report report, int *checks);

#endif
