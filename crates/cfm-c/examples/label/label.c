#include "label.h"

/* Words for all superpixel maps: every superpixel, and this many cells that one touches on the average. */
#define CELLS_PER_SUPERPIXEL 16
#define MAP_WORDS                                                                                                      \
    ((size_t)STREET_MAPS * STREET_MAX_SUPERPIXELS *                                                                    \
     (CFM_SUPERPIXEL_WORDS + CELLS_PER_SUPERPIXEL * CFM_CELL_COUNT_WORDS))

static cfm_model model;
static cfm_image image;
static cfm_proposals proposals;

static uint8_t arena[STREET_ARENA_BYTES];
static uint8_t frame[STREET_IMAGE_BYTES];
static uint16_t proposal_labels[STREET_PROPOSAL_LABELS];
static uint32_t map_words[MAP_WORDS];
static int16_t logits[STREET_MAX_SEGMENTS][STREET_CLASS_COUNT];
static cfm_scored_segment scored[STREET_MAX_SEGMENTS];

/* Proposals live on while segments are scored, and so their memory cannot be shared with the labelling's. */
static uint32_t proposal_words[STREET_PROPOSAL_WORDS];
static uint32_t label_words[STREET_LABEL_WORDS];

static cfm_error take_rows(label_row row, void *camera)
{
    cfm_error error = cfm_image_begin(&image, &model, arena, sizeof arena);
    for (uint16_t y = 0; error == CFM_OK && y < STREET_HEIGHT; y++) {
        const uint8_t *samples = row(camera, y);
        /* The network needs no frame, but the proposals do. */
        for (size_t i = 0; i < STREET_ROW_BYTES; i++)
            frame[(size_t)y * STREET_ROW_BYTES + i] = samples[i];
        error = cfm_image_push_row(&image, samples, STREET_ROW_BYTES);
    }
    return error == CFM_OK ? cfm_image_finish(&image) : error;
}

static cfm_error add_maps(size_t maps)
{
    cfm_error error = CFM_OK;
    size_t used = 0;
    for (size_t i = 0; error == CFM_OK && i < maps; i++) {
        cfm_map map;
        size_t more = 0;
        error = cfm_proposals_map(&proposals, i, &map);
        if (error == CFM_OK)
            error = cfm_image_add_map(&image, &map, map_words + used, MAP_WORDS - used, &more);
        used += more;
    }
    return error;
}

cfm_error label_image(label_row row, void *camera, uint8_t labels[STREET_PIXELS], size_t *segments)
{
    size_t maps = 0, count = 0;
    cfm_error error = cfm_model_parse(&model, street_model, STREET_MODEL_BYTES);
    if (error == CFM_OK)
        error = take_rows(row, camera);
    if (error == CFM_OK)
        error = cfm_proposals_make(&proposals, &model, frame, sizeof frame, proposal_words, STREET_PROPOSAL_WORDS,
                                   proposal_labels, STREET_PROPOSAL_LABELS);
    if (error == CFM_OK)
        error = cfm_proposals_count(&proposals, &maps, &count);
    if (error == CFM_OK)
        error = add_maps(maps);
    for (size_t i = 0; error == CFM_OK && i < count; i++) {
        cfm_extent extent;
        error = cfm_proposals_get(&proposals, i, &scored[i].segment, NULL);
        if (error == CFM_OK)
            error = cfm_image_score(&image, &scored[i].segment, logits[i], STREET_CLASS_COUNT, &extent);
        if (error == CFM_OK) {
            scored[i].logits = logits[i];
            scored[i].area = extent.area;
        }
    }
    if (error == CFM_OK)
        error = cfm_image_label(&image, NULL, scored, count, label_words, STREET_LABEL_WORDS, labels, STREET_PIXELS);
    *segments = count;
    return error;
}
