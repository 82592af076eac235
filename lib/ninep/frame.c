/* frame: whole messages on the heap, and the framer that cuts a byte stream into them.
 *
 * Every dialect begins a message with its size, u32 little-endian, which counts itself. A frame
 * under way has cap == size and len == bytes received so far; it is given away when the two are
 * equal. An error is final: the stream has lost its frame borders, and the framer repeats the error
 * until it is thrown away. Only CG_ENOMEM may go away when the same bytes are offered again.
 */
#include <cognu/ninep.h>
#include <string.h>

_Static_assert(NINEP_THEAD_BYTES == NINEP_T_HEADER_BYTES, "wire.table: request header");
_Static_assert(NINEP_RHEAD_BYTES == NINEP_R_HEADER_BYTES, "wire.table: reply header");

struct ninep_frame *ninep_frame_new(uint32_t cap)
{
    struct ninep_frame *f = cg_alloc(sizeof *f + cap);
    if (f) {
        cg_list_init(&f->link);
        f->refs = 1;
        f->len = 0;
        f->cap = cap;
        f->sent = 0;
        f->lazy = false;
    }
    return f;
}

struct ninep_frame *ninep_frame_ref(struct ninep_frame *f)
{
    f->refs++;
    return f;
}

void ninep_frame_free(struct ninep_frame *f)
{
    if (f && --f->refs == 0) {
        cg_free(f);
    }
}

void ninep_framer_init(struct ninep_framer *fr, uint32_t frame_max)
{
    *fr = (struct ninep_framer){.frame_max = frame_max};
}

void ninep_framer_fini(struct ninep_framer *fr)
{
    ninep_frame_free(fr->frame);
    fr->frame = NULL;
    fr->head_len = 0;
}

/* The size is known: make the frame that it announces. */
static cg_err begin(struct ninep_framer *fr)
{
    struct cg_buf b = cg_buf_reader(fr->head, sizeof fr->head);
    uint32_t size = cg_get_u32(&b);
    if (size < NINEP_P_HEADER_BYTES) {
        return CG_EPROTO;
    }
    if (size > fr->frame_max) {
        return CG_EMSGSIZE;
    }
    struct ninep_frame *f = ninep_frame_new(size);
    if (!f) {
        return CG_ENOMEM;
    }
    memcpy(f->data, fr->head, sizeof fr->head);
    f->len = sizeof fr->head;
    fr->frame = f;
    fr->head_len = 0;
    return CG_OK;
}

cg_err ninep_framer_feed(struct ninep_framer *fr, const uint8_t *data, size_t len, size_t *used,
                         struct ninep_frame **out)
{
    *used = 0;
    *out = NULL;
    while (!fr->frame && fr->head_len < sizeof fr->head && *used < len) {
        fr->head[fr->head_len++] = data[(*used)++];
    }
    if (fr->head_len == sizeof fr->head) {
        cg_err e = begin(fr);
        if (e != CG_OK) {
            return e;
        }
    }
    size_t cap;
    uint8_t *space = ninep_framer_space(fr, &cap);
    if (space) {
        size_t n = len - *used < cap ? len - *used : cap;
        memcpy(space, data + *used, n);
        *used += n;
        *out = ninep_framer_commit(fr, n);
    }
    return CG_OK;
}

uint8_t *ninep_framer_space(struct ninep_framer *fr, size_t *cap)
{
    struct ninep_frame *f = fr->frame;
    *cap = f ? f->cap - f->len : 0;
    return f ? f->data + f->len : NULL;
}

struct ninep_frame *ninep_framer_commit(struct ninep_framer *fr, size_t len)
{
    struct ninep_frame *f = fr->frame;
    cg_assert(f && len <= f->cap - f->len);
    f->len += (uint32_t)len;
    if (f->len < f->cap) {
        return NULL;
    }
    fr->frame = NULL;
    return f;
}
