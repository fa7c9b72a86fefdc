#include "misuse.h"

#include <string.h>

#include "street.h"

#define MAP_WORDS 16384u

static cfm_model model, copy;
static cfm_image image;
static cfm_proposals proposals;
static uint8_t arena[STREET_ARENA_BYTES];
static uint8_t row[STREET_ROW_BYTES + 1];
static uint16_t ids[STREET_PIXELS];
static uint32_t map_words[MAP_WORDS];
static uint32_t label_words[STREET_LABEL_WORDS];
static uint8_t labels[STREET_PIXELS];
static int16_t logits[STREET_CLASS_COUNT];

static misuse_report tell;
static int count, wrong;

static void expect(const char *what, cfm_error got, cfm_error expected)
{
    count++;
    wrong += got != expected;
    tell(what, got, expected);
}

static void models(void)
{
    uint8_t header[64];
    cfm_info info;
    cfm_class description;

    expect("a model in no storage", cfm_model_parse(NULL, street_model, STREET_MODEL_BYTES), CFM_ERROR_NULL);
    expect("no model", cfm_model_parse(&model, NULL, STREET_MODEL_BYTES), CFM_ERROR_NULL);
    expect("a misaligned model", cfm_model_parse((cfm_model *)(void *)((char *)&model + 1), street_model, 64),
           CFM_ERROR_MISALIGNED);
    expect("a length beyond the address space", cfm_model_parse(&model, street_model, SIZE_MAX), CFM_ERROR_LENGTH);
    expect("an empty model", cfm_model_parse(&model, street_model, 0), CFM_ERROR_MODEL_LENGTH);
    expect("a model that is cut off", cfm_model_parse(&model, street_model, STREET_MODEL_BYTES - 1),
           CFM_ERROR_MODEL_LENGTH);
    memcpy(header, street_model, sizeof header);
    header[4] = (uint8_t)(header[4] + 1);
    expect("a model of an unsupported version", cfm_model_parse(&model, header, sizeof header),
           CFM_ERROR_MODEL_VERSION);
    header[0] = 'X';
    expect("something else than a model", cfm_model_parse(&model, header, sizeof header), CFM_ERROR_MODEL_MAGIC);
    expect("asking storage without a model", cfm_model_info(&model, &info), CFM_ERROR_STATE);

    expect("a sound model", cfm_model_parse(&model, street_model, STREET_MODEL_BYTES), CFM_OK);
    expect("nowhere to write", cfm_model_info(&model, NULL), CFM_ERROR_NULL);
    expect("asking the model", cfm_model_info(&model, &info), CFM_OK);
    expect("sizes as exported",
           info.width == STREET_WIDTH && info.height == STREET_HEIGHT && info.row_bytes == STREET_ROW_BYTES &&
                   info.arena_bytes == STREET_ARENA_BYTES && info.class_count == STREET_CLASS_COUNT
               ? CFM_OK
               : CFM_ERROR_UNKNOWN,
           CFM_OK);
    expect("a class too many", cfm_model_class(&model, STREET_CLASS_COUNT, &description), CFM_ERROR_INDEX);
    expect("the last class", cfm_model_class(&model, STREET_CLASS_COUNT - 1, &description), CFM_OK);
    memcpy(&copy, &model, sizeof copy);
    expect("a copied model", cfm_model_info(&copy, &info), CFM_ERROR_STATE);
}

static void rows(void)
{
    cfm_segment segment = {0};

    memset(&image, 0, sizeof image);
    expect("a row for no image", cfm_image_push_row(&image, row, STREET_ROW_BYTES), CFM_ERROR_STATE);
    expect("an arena too small", cfm_image_begin(&image, &model, arena, STREET_ARENA_BYTES - 1), CFM_ERROR_ARENA);
    expect("no arena", cfm_image_begin(&image, &model, NULL, STREET_ARENA_BYTES), CFM_ERROR_NULL);
    expect("a copied model's image", cfm_image_begin(&image, &copy, arena, sizeof arena), CFM_ERROR_STATE);
    expect("a row for an image that did not begin", cfm_image_push_row(&image, row, STREET_ROW_BYTES),
           CFM_ERROR_STATE);
    expect("an image", cfm_image_begin(&image, &model, arena, sizeof arena), CFM_OK);
    expect("a row too short", cfm_image_push_row(&image, row, STREET_ROW_BYTES - 1), CFM_ERROR_INPUT_SIZE);
    expect("a row too long", cfm_image_push_row(&image, row, STREET_ROW_BYTES + 1), CFM_ERROR_INPUT_SIZE);
    expect("no row", cfm_image_push_row(&image, NULL, STREET_ROW_BYTES), CFM_ERROR_NULL);
    expect("an end without rows", cfm_image_finish(&image), CFM_ERROR_INCOMPLETE);
    expect("a segment before the end of the rows", cfm_image_score(&image, &segment, logits, STREET_CLASS_COUNT, NULL),
           CFM_ERROR_STATE);
    for (unsigned y = 0; y < STREET_HEIGHT; y++) {
        for (unsigned i = 0; i < STREET_ROW_BYTES; i++)
            row[i] = (uint8_t)(y + i);
        cfm_error error = cfm_image_push_row(&image, row, STREET_ROW_BYTES);
        if (error != CFM_OK)
            expect("a row", error, CFM_OK);
    }
    expect("a row too many", cfm_image_push_row(&image, row, STREET_ROW_BYTES), CFM_ERROR_TOO_MANY_ROWS);
    expect("the end", cfm_image_finish(&image), CFM_OK);
    expect("another end", cfm_image_finish(&image), CFM_ERROR_STATE);
    expect("a row after the end", cfm_image_push_row(&image, row, STREET_ROW_BYTES), CFM_ERROR_TOO_MANY_ROWS);
}

static cfm_error score(const cfm_segment *segment)
{
    return cfm_image_score(&image, segment, logits, STREET_CLASS_COUNT, NULL);
}

static void segments(void)
{
    static const cfm_run good[] = {{2, 0, 9}, {5, 3, 8}}, outside[] = {{0, 0, STREET_WIDTH + 1}},
                         turned[] = {{5, 3, 8}, {2, 0, 9}};
    static const uint16_t left[] = {0}, both[] = {1, 0}, twice[] = {0, 0}, unknown[] = {2};
    cfm_segment segment = {0};
    cfm_map map = {ids, STREET_WIDTH, STREET_HEIGHT, 2};
    cfm_extent extent;
    size_t used = 1;

    expect("a segment of nothing", score(&segment), CFM_ERROR_SEGMENT_FORM);
    expect("no segment", score(NULL), CFM_ERROR_NULL);
    segment.runs = good;
    expect("a segment without runs", score(&segment), CFM_ERROR_SEGMENT_EMPTY);
    segment.count = 2;
    expect("too few logits", cfm_image_score(&image, &segment, logits, STREET_CLASS_COUNT - 1, NULL),
           CFM_ERROR_LOGIT_COUNT);
    expect("nowhere to write logits", cfm_image_score(&image, &segment, NULL, STREET_CLASS_COUNT, NULL),
           CFM_ERROR_NULL);
    expect("a segment of runs", cfm_image_score(&image, &segment, logits, STREET_CLASS_COUNT, &extent), CFM_OK);
    expect("its extent",
           extent.area == 14 && extent.left == 0 && extent.top == 2 && extent.right == 8 && extent.bottom == 5
               ? CFM_OK
               : CFM_ERROR_UNKNOWN,
           CFM_OK);
    segment.runs = outside;
    segment.count = 1;
    expect("a run that leaves the image", score(&segment), CFM_ERROR_RUN_OUTSIDE);
    segment.runs = turned;
    segment.count = 2;
    expect("runs in the wrong order", score(&segment), CFM_ERROR_RUN_ORDER);
    segment.members = both;
    expect("runs and members", score(&segment), CFM_ERROR_SEGMENT_FORM);
    segment.runs = NULL;
    expect("a map that is not there", score(&segment), CFM_ERROR_MAP_INDEX);

    for (size_t i = 0; i < STREET_PIXELS; i++)
        ids[i] = i % STREET_WIDTH >= STREET_WIDTH / 2;
    map.width--;
    expect("a map of another size", cfm_image_add_map(&image, &map, map_words, MAP_WORDS, NULL), CFM_ERROR_MAP_SIZE);
    map.width++;
    map.count = 1;
    expect("ids beyond the count", cfm_image_add_map(&image, &map, map_words, MAP_WORDS, NULL),
           CFM_ERROR_SUPERPIXEL_ID);
    map.count = 8193;
    expect("too many superpixels", cfm_image_add_map(&image, &map, map_words, MAP_WORDS, NULL),
           CFM_ERROR_TOO_MANY_SUPERPIXELS);
    map.count = 2;
    expect("memory for nothing", cfm_image_add_map(&image, &map, map_words, 1, &used), CFM_ERROR_MAP_MEMORY);
    expect("which says nothing", used == 0 ? CFM_OK : CFM_ERROR_UNKNOWN, CFM_OK);
    expect("memory for superpixels only",
           cfm_image_add_map(&image, &map, map_words, 2 * CFM_SUPERPIXEL_WORDS, &used), CFM_ERROR_MAP_MEMORY);
    expect("one word too few", cfm_image_add_map(&image, &map, map_words, used - 1, NULL), CFM_ERROR_MAP_MEMORY);
    expect("misaligned memory",
           cfm_image_add_map(&image, &map, (uint32_t *)(void *)((char *)map_words + 2), 64, NULL),
           CFM_ERROR_MISALIGNED);
    expect("as many as it says", cfm_image_add_map(&image, &map, map_words, used, NULL), CFM_OK);
    expect("two superpixels", score(&segment), CFM_OK);
    segment.members = twice;
    expect("a superpixel twice", score(&segment), CFM_ERROR_DUPLICATE);
    segment.members = unknown;
    segment.count = 1;
    expect("an unknown superpixel", score(&segment), CFM_ERROR_SUPERPIXEL_ID);
    segment.members = left;
    expect("one superpixel", score(&segment), CFM_OK);
    for (int i = 1; i < CFM_MAX_MAPS; i++)
        expect("another map", cfm_image_add_map(&image, &map, map_words + (size_t)i * used, used, NULL), CFM_OK);
    expect("a map too many", cfm_image_add_map(&image, &map, map_words + CFM_MAX_MAPS * used, used, NULL), CFM_ERROR_TOO_MANY_MAPS);
}

static cfm_error label(const cfm_rule *rule, const cfm_scored_segment *segment, size_t words, size_t pixels)
{
    return cfm_image_label(&image, rule, segment, 1, label_words, words, labels, pixels);
}

static void labelling(void)
{
    static const uint16_t left[] = {0};
    uint16_t probabilities[STREET_CLASS_COUNT];
    cfm_rule rule = {0};
    cfm_scored_segment segment = {0};
    size_t needed = 0;
    uint32_t sum = 0, labelled = 0;

    segment.segment.members = left;
    segment.segment.count = 1;
    segment.area = STREET_HEIGHT * (STREET_WIDTH / 2);
    segment.logits = logits;
    for (int i = 0; i < STREET_CLASS_COUNT; i++)
        logits[i] = i == STREET_CLASS_ROAD ? 4000 : -4000;
    expect("how much memory", cfm_image_label_words(&image, &rule, 1, &needed), CFM_OK);
    expect("too little memory", label(&rule, &segment, needed - 1, STREET_PIXELS), CFM_ERROR_LABEL_MEMORY);
    expect("too few labels", label(&rule, &segment, needed, STREET_PIXELS - 1), CFM_ERROR_LABEL_COUNT);
    expect("labels", label(&rule, &segment, needed, STREET_PIXELS), CFM_OK);
    for (size_t i = 0; i < STREET_PIXELS; i++)
        labelled += labels[i] == (i % STREET_WIDTH < STREET_WIDTH / 2 ? STREET_CLASS_ROAD : CFM_VOID);
    expect("a road on the left", labelled == STREET_PIXELS ? CFM_OK : CFM_ERROR_UNKNOWN, CFM_OK);
    rule.combination = 2;
    expect("an unknown rule", label(&rule, &segment, STREET_LABEL_WORDS, STREET_PIXELS), CFM_ERROR_RULE);
    rule.combination = 0;
    rule.power = 3;
    expect("a field of another rule", label(&rule, &segment, STREET_LABEL_WORDS, STREET_PIXELS), CFM_ERROR_RULE);
    segment.logits = NULL;
    expect("a segment without logits", label(NULL, &segment, STREET_LABEL_WORDS, STREET_PIXELS), CFM_ERROR_NULL);
    segment.segment.members = NULL;
    expect("a segment of nothing", label(NULL, &segment, STREET_LABEL_WORDS, STREET_PIXELS), CFM_ERROR_SEGMENT_FORM);

    expect("too few probabilities", cfm_probabilities(&model, logits, probabilities, 1), CFM_ERROR_LOGIT_COUNT);
    expect("probabilities", cfm_probabilities(&model, logits, probabilities, STREET_CLASS_COUNT), CFM_OK);
    for (int i = 0; i < STREET_CLASS_COUNT; i++)
        sum += probabilities[i];
    expect("that add up", sum > 65000 && sum <= 65536 && probabilities[STREET_CLASS_ROAD] > 60000 ? CFM_OK : CFM_ERROR_UNKNOWN,
           CFM_OK);
}

static void candidates(void)
{
    cfm_sizes sizes;
    cfm_map map;
    cfm_segment segment;
    size_t maps;

    /* Nothing is read or written before the sizes are checked, so any memory will do. */
    expect("how much memory", cfm_proposals_sizes(&model, &sizes), CFM_OK);
    expect("sizes as exported",
           sizes.words == STREET_PROPOSAL_WORDS && sizes.min_words == STREET_PROPOSAL_MIN_WORDS &&
                   sizes.labels == STREET_PROPOSAL_LABELS && sizes.max_segments == STREET_MAX_SEGMENTS &&
                   sizes.maps == STREET_MAPS
               ? CFM_OK
               : CFM_ERROR_UNKNOWN,
           CFM_OK);
    memset(&proposals, 0, sizeof proposals);
    expect("an image too small", cfm_proposals_make(&proposals, &model, row, 3, label_words, 1, ids, 1),
           CFM_ERROR_INPUT_SIZE);
    expect("too few words", cfm_proposals_make(&proposals, &model, street_model, STREET_IMAGE_BYTES, label_words, 1, ids, 1),
           CFM_ERROR_PROPOSAL_WORDS);
    expect("no proposals", cfm_proposals_count(&proposals, &maps, NULL), CFM_ERROR_STATE);
    expect("nor a map", cfm_proposals_map(&proposals, 0, &map), CFM_ERROR_STATE);
    expect("nor a segment", cfm_proposals_get(&proposals, 0, &segment, NULL), CFM_ERROR_STATE);
}

int misuse_check(misuse_report report, int *checks)
{
    tell = report;
    count = wrong = 0;
    models();
    rows();
    segments();
    labelling();
    candidates();
    *checks = count;
    return wrong;
}
