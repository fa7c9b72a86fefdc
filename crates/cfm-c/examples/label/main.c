/* label IMAGE LABELS: labels a raw RGB image of the size of the model, and writes a byte per pixel: the class's value in
 * label images, as `cfm segment --labels` does, 255 for none. */
#include <stdio.h>

#include "label.h"

static uint8_t pixels[STREET_IMAGE_BYTES];
static uint8_t labels[STREET_PIXELS];

static const uint8_t *row_of_file(void *camera, uint16_t y)
{
    return (const uint8_t *)camera + (size_t)y * STREET_ROW_BYTES;
}

static int read_exactly(const char *path, uint8_t *bytes, size_t length)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    int whole = fread(bytes, 1, length, file) == length && fgetc(file) == EOF;
    fclose(file);
    return whole;
}

static int write_all(const char *path, const uint8_t *bytes, size_t length)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return 0;
    int whole = fwrite(bytes, 1, length, file) == length;
    return fclose(file) == 0 && whole;
}

int main(int argc, char **argv)
{
    static const char *const names[] = STREET_CLASS_NAMES;
    static const uint8_t values[] = STREET_CLASS_LABELS;
    size_t segments = 0, pixels_of[STREET_CLASS_COUNT] = {0};

    if (argc != 3) {
        fprintf(stderr, "usage: label IMAGE LABELS\n");
        return 2;
    }
    if (!read_exactly(argv[1], pixels, sizeof pixels)) {
        fprintf(stderr, "%s: not %d bytes of RGB\n", argv[1], STREET_IMAGE_BYTES);
        return 2;
    }
    cfm_error error = label_image(row_of_file, pixels, labels, &segments);
    if (error != CFM_OK) {
        fprintf(stderr, "cfm %s: error %d: %s\n", cfm_version(), (int)error, cfm_error_message(error));
        return 1;
    }
    for (size_t i = 0; i < sizeof labels; i++) {
        if (labels[i] < STREET_CLASS_COUNT) {
            pixels_of[labels[i]]++;
            labels[i] = values[labels[i]];
        }
    }
    if (!write_all(argv[2], labels, sizeof labels)) {
        fprintf(stderr, "%s: cannot be written\n", argv[2]);
        return 2;
    }
    printf("%zu segments\n", segments);
    for (size_t i = 0; i < STREET_CLASS_COUNT; i++) {
        if (pixels_of[i] > 0)
            printf("%-12s %6zu pixels\n", names[i], pixels_of[i]);
    }
    return 0;
}
