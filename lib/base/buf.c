/* The bounded buffer: foreign bytes are read and written here and nowhere else. An overrun sets
 * bad, and from then on getters give zero and putters do nothing: a decoder checks once, at its
 * end. */
#include <cognu/base.h>

#include <string.h>

enum { NAME_BYTES_MAX = 255 }; /* POSIX NAME_MAX on every host file system */

struct cg_buf cg_buf_reader(const void *data, size_t len)
{
    union {
        const void *in;
        uint8_t *out;
    } u = {.in = data}; /* a reader never writes through base */
    return (struct cg_buf){.base = u.out, .len = len};
}

struct cg_buf cg_buf_writer(void *data, size_t cap)
{
    return (struct cg_buf){.base = data, .len = cap};
}

size_t cg_buf_left(const struct cg_buf *b)
{
    return b->len - b->pos;
}

/* Claims n bytes at the cursor, or marks the buffer bad. */
static uint8_t *claim(struct cg_buf *b, size_t n)
{
    cg_assert(b->pos <= b->len);
    if (b->bad || n > b->len - b->pos) {
        b->bad = true;
        return NULL;
    }
    uint8_t *p = b->base + b->pos;
    b->pos += n;
    return p;
}

uint8_t cg_get_u8(struct cg_buf *b)
{
    const uint8_t *p = claim(b, 1);
    return p ? p[0] : 0;
}

uint16_t cg_get_u16(struct cg_buf *b)
{
    const uint8_t *p = claim(b, 2);
    return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

uint32_t cg_get_u32(struct cg_buf *b)
{
    const uint8_t *p = claim(b, 4);
    return p ? p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

uint64_t cg_get_u64(struct cg_buf *b)
{
    if (cg_buf_left(b) < 8) {
        b->bad = true;
    }
    uint64_t low = cg_get_u32(b);
    return low | (uint64_t)cg_get_u32(b) << 32;
}

struct cg_span cg_get_span(struct cg_buf *b, size_t len)
{
    const uint8_t *p = len <= UINT32_MAX ? claim(b, len) : NULL;
    if (!p) {
        b->bad = true;
        return (struct cg_span){0};
    }
    return (struct cg_span){.data = p, .len = (uint32_t)len};
}

void cg_put_u8(struct cg_buf *b, uint8_t v)
{
    uint8_t *p = claim(b, 1);
    if (p) {
        p[0] = v;
    }
}

void cg_put_u16(struct cg_buf *b, uint16_t v)
{
    uint8_t *p = claim(b, 2);
    if (p) {
        p[0] = (uint8_t)v;
        p[1] = (uint8_t)(v >> 8);
    }
}

void cg_put_u32(struct cg_buf *b, uint32_t v)
{
    uint8_t *p = claim(b, 4);
    if (p) {
        for (int i = 0; i < 4; i++) {
            p[i] = (uint8_t)(v >> 8 * i);
        }
    }
}

void cg_put_u64(struct cg_buf *b, uint64_t v)
{
    uint8_t *p = claim(b, 8);
    if (p) {
        for (int i = 0; i < 8; i++) {
            p[i] = (uint8_t)(v >> 8 * i);
        }
    }
}

void cg_put_bytes(struct cg_buf *b, const void *data, size_t len)
{
    uint8_t *p = claim(b, len);
    if (p && len) {
        memcpy(p, data, len);
    }
}

bool cg_name_ok(struct cg_span name)
{
    if (name.len == 0 || name.len > NAME_BYTES_MAX || cg_span_is(name, ".") ||
        cg_span_is(name, "..")) {
        return false;
    }
    return !memchr(name.data, '/', name.len) && !memchr(name.data, 0, name.len);
}

struct cg_span cg_span_of(const char *s)
{
    return (struct cg_span){.data = (const uint8_t *)s, .len = (uint32_t)strlen(s)};
}

bool cg_span_is(struct cg_span a, const char *s)
{
    return a.len == strlen(s) && memcmp(a.data, s, a.len) == 0;
}

bool cg_span_str(struct cg_span s, char *out, size_t cap)
{
    if (s.len >= cap || (s.len && memchr(s.data, 0, s.len))) {
        return false;
    }
    if (s.len) {
        memcpy(out, s.data, s.len);
    }
    out[s.len] = 0;
    return true;
}
