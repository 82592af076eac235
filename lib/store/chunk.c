/* Where contents are cut: FastCDC (W. Xia et al., ATC 2016) with its two masks on either side of
 * the normal length, over a gear hash whose table is secret, so that lengths reveal nothing about
 * known contents.
 *
 * A boundary is where the highest bits of the hash are zero: bit 63 of a left-shifted gear hash
 * depends on the last 64 bytes, low bits on few. */
#include "store__.h"

enum { MASK_BITS_BEFORE = 15, MASK_BITS_AFTER = 11 };

void chunker_init(struct chunker *c, const uint8_t domain[KEY_BYTES])
{
    uint8_t bytes[sizeof c->gear];
    key_derive(domain, "cognu store gear", NULL, 0, bytes, sizeof bytes);
    struct cg_buf b = cg_buf_reader(bytes, sizeof bytes);
    for (int i = 0; i < 256; i++) {
        c->gear[i] = cg_get_u64(&b);
    }
    cg_wipe(bytes, sizeof bytes);
}

/* The first position in [at, end) after which a boundary falls, or end. */
static size_t scan(const uint64_t gear[256], const uint8_t *data, size_t at, size_t end,
                   uint64_t *hash, int bits)
{
    uint64_t h = *hash, below = 1ull << (64 - bits);
    for (; at < end; at++) {
        h = (h << 1) + gear[data[at]];
        if (h < below) {
            *hash = h;
            return at + 1;
        }
    }
    *hash = h;
    return end + 1;
}

size_t chunker_cut(const struct chunker *c, const uint8_t *data, size_t len)
{
    size_t end = len < STORE_CHUNK_BYTES_MAX ? len : STORE_CHUNK_BYTES_MAX;
    if (end <= CHUNK_BYTES_MIN) {
        return end;
    }
    size_t normal = end < CHUNK_BYTES_NORMAL ? end : CHUNK_BYTES_NORMAL;
    uint64_t hash = 0;
    size_t at = scan(c->gear, data, CHUNK_BYTES_MIN, normal, &hash, MASK_BITS_BEFORE);
    if (at <= normal) {
        return at;
    }
    at = scan(c->gear, data, normal, end, &hash, MASK_BITS_AFTER);
    return at <= end ? at : end;
}
