/* fuzz_wire: any stream of bytes through the framer and every decoder (libFuzzer).
 *
 * The stream is cut into frames; each frame's body is decoded as each message of its number, in all
 * dialects. Held to be true: no access outside the frame; what decodes encodes to the same bytes,
 * and ninep_size_X says how many. The mutator appends fresh frames made from the grammar, so that
 * the fuzzer need not discover the formats. Seeds: `wire_vectors --corpus DIR`; dictionary:
 * build/gen/ninep.dict.
 */
#include "wire_random.h"
#include <cognu/ninep.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
size_t LLVMFuzzerMutate(uint8_t *data, size_t len, size_t cap);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t cap, unsigned seed);

enum { FUZZ_FRAME_MAX = 65536 };

static uint8_t again[FUZZ_FRAME_MAX];

static void decode_as(const struct ninep_message *m, const struct ninep_frame *f, size_t at)
{
    union wire_any v;
    struct cg_buf b = cg_buf_reader(f->data + at, f->len - at);
    m->shape.get(&b, &v);
    if (b.bad || cg_buf_left(&b) > 0) {
        return;
    }
    struct cg_buf w = cg_buf_writer(again, sizeof again);
    m->shape.put(&w, &v);
    cg_assert(!w.bad && w.pos == f->len - at && m->shape.size(&v) == w.pos);
    cg_assert(memcmp(again, f->data + at, w.pos) == 0);
}

/* Where the body of a 9P-NG frame begins; 0: malformed header or tail. */
static size_t body_at(struct ninep_frame *f, bool reply)
{
    struct ninep_thead t = {0};
    struct ninep_rhead r = {0};
    struct cg_buf b = cg_buf_reader(f->data, f->len);
    if (reply) {
        ninep_get_rhead(&b, &r);
    } else {
        ninep_get_thead(&b, &t);
    }
    struct cg_span tail = cg_get_span(&b, reply ? r.tail : t.tail);
    struct cg_buf items = cg_buf_reader(tail.data, tail.len);
    while (!items.bad && cg_buf_left(&items) > 0) {
        struct ninep_tailitem item;
        ninep_get_tailitem(&items, &item);
    }
    return b.bad || items.bad ? 0 : b.pos;
}

static void decode_frame(struct ninep_frame *f)
{
    for (uint32_t i = 0; i < NINEP_MESSAGES; i++) {
        const struct ninep_message *m = &ninep_messages[i];
        bool ng = m->dialect == NINEP_DIALECT_NG;
        if (m->number != f->data[4]) {
            continue;
        }
        size_t at = ng ? body_at(f, m->cls == NINEP_CLASS_REPLY) : NINEP_P_HEADER_BYTES;
        if (at > 0) {
            decode_as(m, f, at);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ninep_framer fr;
    ninep_framer_init(&fr, FUZZ_FRAME_MAX);
    for (size_t at = 0; at < len;) {
        struct ninep_frame *f;
        size_t used;
        if (ninep_framer_feed(&fr, data + at, len - at, &used, &f) != CG_OK) {
            break;
        }
        at += used;
        if (f) {
            decode_frame(f);
            ninep_frame_free(f);
        }
    }
    ninep_framer_fini(&fr);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t len, size_t cap, unsigned seed)
{
    static struct wire_random r;
    static uint8_t frame[WIRE_FRAME_BYTES];
    if (seed % 4 == 0) {
        wire_random_init(&r, seed);
        const struct ninep_message *m = &ninep_messages[wire_random_next(&r) % NINEP_MESSAGES];
        union wire_any v;
        struct wire_header head;
        wire_random_fill(&r, &m->shape, &v);
        size_t n = wire_random_frame(&r, m, &v, &head, frame, sizeof frame);
        if (n <= cap - len) {
            memcpy(data + len, frame, n);
            return len + n;
        }
    }
    return LLVMFuzzerMutate(data, len, cap);
}
