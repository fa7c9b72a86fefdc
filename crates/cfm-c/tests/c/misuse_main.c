#include <stdio.h>

#include "misuse.h"

static void report(const char *what, cfm_error got, cfm_error expected)
{
    if (got != expected)
        printf("WRONG: %s: %d (%s) instead of %d (%s)\n", what, (int)got, cfm_error_message(got), (int)expected,
               cfm_error_message(expected));
}

int main(void)
{
    int checks = 0, wrong = misuse_check(report, &checks);
    printf("misuse: %d checks, %d wrong\n", checks, wrong);
    return wrong != 0 || checks == 0;
}
