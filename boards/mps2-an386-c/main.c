/* Labels the embedded image on the target, writes the labels to the host, and checks that wrong use is refused. */
#include <stddef.h>
#include <stdint.h>

#include "label.h"
#include "misuse.h"
#include "semihosting.h"
#include "startup.h"

extern const uint8_t image_pixels[], image_end[];

static uint8_t labels[STREET_PIXELS];

/* A camera would fill the row here. */
static const uint8_t *row_of_image(void *camera, uint16_t y)
{
    (void)camera;
    return image_pixels + (size_t)y * STREET_ROW_BYTES;
}

static void print_number(uint32_t number)
{
    char text[11];
    char *start = text + sizeof text - 1;
    *start = '\0';
    do {
        *--start = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    semihosting_print(start);
}

static void report(const char *what, cfm_error got, cfm_error expected)
{
    semihosting_print(got == expected ? "  " : "  WRONG: ");
    semihosting_print(what);
    semihosting_print(": ");
    print_number((uint32_t)got);
    semihosting_print(", ");
    semihosting_print(cfm_error_message(got));
    semihosting_print("\n");
}

int main(void)
{
    static const uint8_t values[] = STREET_CLASS_LABELS;
    int checks = 0;
    size_t segments = 0;

    semihosting_print("cfm ");
    semihosting_print(cfm_version());
    semihosting_print("\n");
    if (image_end - image_pixels != STREET_IMAGE_BYTES) {
        semihosting_print("the image does not have the size of the model's input\n");
        return 1;
    }

    int wrong = misuse_check(report, &checks);
    print_number((uint32_t)checks);
    semihosting_print(" checks of wrong use, ");
    print_number((uint32_t)wrong);
    semihosting_print(" wrong\n");
    if (wrong != 0)
        return 1;

    cfm_error error = label_image(row_of_image, NULL, labels, &segments);
    if (error != CFM_OK) {
        semihosting_print(cfm_error_message(error));
        semihosting_print("\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof labels; i++) {
        if (labels[i] < STREET_CLASS_COUNT)
            labels[i] = values[labels[i]];
    }
    if (semihosting_write_file("target.labels", labels, sizeof labels) != 0) {
        semihosting_print("target.labels cannot be written\n");
        return 1;
    }
    print_number((uint32_t)segments);
    semihosting_print(" segments, labels written, ");
    print_number(stack_used());
    semihosting_print(" bytes of stack used\n");
    return 0;
}
