/* wire_random: seeded random messages of every dialect, made from the generated grammar, so that a
 * message added to wire.table is tested without a line written for it.
 *
 * For tests, vectors and the fuzzer only. The same seed gives the same messages on every machine.
 */
#ifndef NINEP_WIRE_RANDOM_H
#define NINEP_WIRE_RANDOM_H

#include "ninep_grammar.h"

enum {
    WIRE_ARENA_BYTES = 65536, /* holds every string and list of one message */
    WIRE_FRAME_BYTES = 65536, /* holds any frame made here */
    WIRE_STR_BYTES = 24,      /* strings are shorter: vectors are read by people too */
    WIRE_LIST_MEMBERS = 4,    /* lists are shorter */
};

struct wire_random {
    uint64_t state;
    size_t used;
    uint8_t arena[WIRE_ARENA_BYTES];
};

/* All that the codec knows: messages, then structures by themselves. */
enum { WIRE_SHAPES = NINEP_MESSAGES + NINEP_STRUCTS };
const struct ninep_shape *wire_shape(uint32_t i);

/* The C structure of any message, suitably aligned. */
union wire_any {
    uint64_t align;
    uint8_t bytes[NINEP_SHAPE_BYTES_MAX];
};

void wire_random_init(struct wire_random *r, uint64_t seed);
uint64_t wire_random_next(struct wire_random *r);
/* Fills the C structure of a shape; its spans live until the next fill. */
void wire_random_fill(struct wire_random *r, const struct ninep_shape *shape, union wire_any *out);

/* The header of a frame of the given message, with its tail items. */
struct wire_header {
    const struct ninep_shape *shape; /* thead, rhead or phead */
    union wire_any value;
    struct cg_span tail;
};
/* Encodes a random header and v as a whole frame; returns its size. */
size_t wire_random_frame(struct wire_random *r, const struct ninep_message *m,
                         const union wire_any *v, struct wire_header *head, uint8_t *out,
                         size_t cap);

#endif
