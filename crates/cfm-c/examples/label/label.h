/* From rows to labels with cfm.h and an exported model: the part that a host program and a firmware share. */
#ifndef LABEL_H
#define LABEL_H

#include <stddef.h>
#include <stdint.h>

#include "cfm.h"
#include "street.h"

/* Where an image comes from: row y, which stays valid until the next call. */
typedef const uint8_t *(*label_row)(void *camera, uint16_t y);

/*
 * Labels an image: one class index (or CFM_VOID) for each pixel.
 *
 * Takes STREET_HEIGHT rows from `camera`. `segments` becomes the number of segments that were scored. The memory is
 * static, so there can be one call at a time.
 */
cfm_error label_image(label_row row, void *camera, uint8_t labels[STREET_PIXELS], size_t *segments);

#endif
