/* A frame: objects gathered up to FRAME_RAW_BYTES and compressed together. Small chunks find
 * sameness, large frames compress well: 8 KiB pieces on their own come out 15% larger than frames
 * do. */
#include "store__.h"

#include <lz4.h>
#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

enum { LZ4_ACCELERATION = 2 }; /* a twentieth less time than 1, 3.6% more bytes */

struct packer {
    ZSTD_CCtx *c;
    ZSTD_DCtx *d;
    enum store_level level;
};

/* Level 1 looks for matches of 7 bytes and more; from 6 on it comes within 2% of level 2 at a tenth
 * less time (docs/store-performance.md). */
static const struct {
    int level, match_min; /* 0: the level's own */
} zstd_setting[] = {[STORE_DEFAULT] = {1, 6}, [STORE_SMALL] = {9, 0}};

static void *zstd_alloc(void *opaque, size_t bytes)
{
    (void)opaque;
    return cg_alloc(bytes);
}

static void zstd_free(void *opaque, void *p)
{
    (void)opaque;
    cg_free(p);
}

struct packer *packer_new(enum store_level level)
{
    const ZSTD_customMem mem = {zstd_alloc, zstd_free, NULL};
    struct packer *p = cg_zalloc(sizeof *p);
    if (!p) {
        return NULL;
    }
    p->level = level;
    p->c = ZSTD_createCCtx_advanced(mem);
    p->d = ZSTD_createDCtx_advanced(mem);
    if (!p->c || !p->d) {
        packer_free(p);
        return NULL;
    }
    if (level == STORE_DEFAULT || level == STORE_SMALL) {
        ZSTD_CCtx_setParameter(p->c, ZSTD_c_compressionLevel, zstd_setting[level].level);
        ZSTD_CCtx_setParameter(p->c, ZSTD_c_minMatch, zstd_setting[level].match_min);
    }
    return p;
}

void packer_free(struct packer *p)
{
    if (p) {
        ZSTD_freeCCtx(p->c);
        ZSTD_freeDCtx(p->d);
        cg_free(p);
    }
}

struct frame *frame_new(void)
{
    struct frame *f = cg_zalloc(sizeof *f);
    if (!f) {
        return NULL;
    }
    f->raw = cg_alloc(FRAME_RAW_BYTES_MAX);
    f->packed = cg_alloc(ZSTD_COMPRESSBOUND(FRAME_RAW_BYTES_MAX) + TAG_BYTES);
    if (!f->raw || !f->packed) {
        frame_free(f);
        return NULL;
    }
    return f;
}

void frame_free(struct frame *f)
{
    if (f) {
        cg_free(f->raw);
        cg_free(f->packed);
        cg_free(f);
    }
}

void frame_reset(struct frame *f, enum store_object kind, uint32_t number)
{
    f->kind = (uint8_t)kind;
    f->number = number;
    f->count = f->raw_len = f->packed_len = 0;
}

bool frame_fits(const struct frame *f, size_t len)
{
    return f->count == 0 || (f->count < FRAME_OBJECTS_MAX && f->raw_len + len <= FRAME_RAW_BYTES);
}

/* Compressed where that saves at least one part in 32; reading what was not is faster. */
cg_err frame_pack(struct frame *f, struct packer *p)
{
    size_t worth = f->raw_len - f->raw_len / 32, n = 0;
    f->alg = ALG_NONE;
    if (p->level == STORE_FAST) {
        n = (size_t)LZ4_compress_fast((const char *)f->raw, (char *)f->packed, (int)f->raw_len,
                                      (int)ZSTD_COMPRESSBOUND(FRAME_RAW_BYTES_MAX),
                                      LZ4_ACCELERATION);
        f->alg = ALG_LZ4;
    } else if (p->level != STORE_PLAIN) {
        n = ZSTD_compress2(p->c, f->packed, ZSTD_COMPRESSBOUND(FRAME_RAW_BYTES_MAX), f->raw,
                           f->raw_len);
        if (ZSTD_isError(n)) {
            return CG_ENOMEM; /* the buffer is large enough for anything */
        }
        f->alg = ALG_ZSTD;
    }
    if (n == 0 || n >= worth) {
        f->alg = ALG_NONE;
        memcpy(f->packed, f->raw, f->raw_len);
        n = f->raw_len;
    }
    f->packed_len = (uint32_t)n;
    return CG_OK;
}

cg_err frame_unpack(struct packer *p, enum algorithm alg, const uint8_t *in, size_t len,
                    uint8_t *raw, size_t raw_len)
{
    cg_assert(raw_len <= FRAME_RAW_BYTES_MAX);
    if (alg == ALG_NONE && len == raw_len) {
        memcpy(raw, in, len);
        return CG_OK;
    }
    if (alg == ALG_ZSTD) {
        return ZSTD_decompressDCtx(p->d, raw, raw_len, in, len) == raw_len ? CG_OK : CG_EBADFORMAT;
    }
    if (alg == ALG_LZ4 && raw_len > 0) {
        int n = LZ4_decompress_safe((const char *)in, (char *)raw, (int)len, (int)raw_len);
        return n == (int)raw_len ? CG_OK : CG_EBADFORMAT;
    }
    return CG_EBADFORMAT;
}
