/* Parity: a file beside a pack from which damaged blocks are computed again, by the erasure code of
 * Intel's isa-l (Cauchy matrix over GF(2^8)).
 *
 * The pack is taken as blocks of 64 KiB, the last filled up with zeros. Block i belongs to group i
 * mod G, with G so that no group has more than 16; so damage that lies together is spread over all
 * groups. Each group gets m blocks of parity and survives the loss of any m blocks. File: head 64
 * (magic 8, version 2, m 2, block 4, pack 4, groups 4, bytes of the pack 8, id 16, checksum of head
 * and table 16), the table of checksums 16 of all blocks of data, then of parity, then the parity
 * blocks, group by group. Nothing here needs a key. */
#include "store__.h"

#include <isa-l/erasure_code.h>
#include <stdio.h>
#include <string.h>

enum {
    BLOCK_BYTES = 64 << 10,
    GROUP_DATA = 16,
    PARITY_MAX = 8,
    GROUP_ALL = GROUP_DATA + PARITY_MAX,
    HEAD_BYTES = 64,
    HEAD_SUMMED = HEAD_BYTES - TAG_BYTES,
};
#define PARITY_MAGIC "cgnupar1"

struct parity {
    const struct store_io *io;
    struct checker *check;
    uint32_t pack, blocks, groups, lost; /* lost: m */
    uint64_t bytes;                      /* of the pack */
    uint8_t head[HEAD_BYTES];
    uint8_t *table; /* (blocks + groups * lost) checksums */
    uint8_t *buf;   /* GROUP_ALL blocks */
    uint8_t *block[GROUP_ALL];
};

static size_t table_bytes(const struct parity *p)
{
    return ((size_t)p->blocks + (size_t)p->groups * p->lost) * TAG_BYTES;
}

static void parity_fini(struct parity *p)
{
    checker_free(p->check);
    cg_free(p->table);
    cg_free(p->buf);
}

static cg_err parity_init(struct parity *p)
{
    p->blocks = (uint32_t)((p->bytes + BLOCK_BYTES - 1) / BLOCK_BYTES);
    p->groups = (p->blocks + GROUP_DATA - 1) / GROUP_DATA;
    p->check = checker_new();
    p->table = cg_alloc(table_bytes(p));
    p->buf = cg_alloc((size_t)GROUP_ALL * BLOCK_BYTES);
    for (int i = 0; i < GROUP_ALL && p->buf; i++) {
        p->block[i] = p->buf + (size_t)i * BLOCK_BYTES;
    }
    return p->check && p->table && p->buf ? CG_OK : CG_ENOMEM;
}

static void put_head(struct parity *p, const uint8_t id[ID_BYTES])
{
    struct cg_buf b = cg_buf_writer(p->head, HEAD_BYTES);
    cg_put_bytes(&b, PARITY_MAGIC, 8);
    cg_put_u16(&b, FORMAT_VERSION);
    cg_put_u16(&b, (uint16_t)p->lost);
    cg_put_u32(&b, BLOCK_BYTES);
    cg_put_u32(&b, p->pack);
    cg_put_u32(&b, p->groups);
    cg_put_u64(&b, p->bytes);
    cg_put_bytes(&b, id, ID_BYTES);
    checker_sum(p->check, p->head, HEAD_SUMMED, p->table, table_bytes(p), p->head + HEAD_SUMMED);
}

/* The blocks of data of a group, those that the last group lacks as zeros. */
static cg_err read_group(struct parity *p, void *pack, uint32_t group)
{
    cg_err e = CG_OK;
    for (uint32_t i = 0; i < GROUP_DATA && !e; i++) {
        uint64_t number = group + (uint64_t)i * p->groups;
        size_t got = 0;
        if (number < p->blocks) {
            e = p->io->read(p->io->ctx, pack, number * BLOCK_BYTES, p->block[i], BLOCK_BYTES, &got);
        }
        memset(p->block[i] + got, 0, BLOCK_BYTES - got);
    }
    return e;
}

static void sum_block(struct parity *p, const uint8_t *block, uint8_t out[TAG_BYTES])
{
    checker_sum(p->check, "", 0, block, BLOCK_BYTES, out);
}

static uint8_t *sum_of(const struct parity *p, uint32_t group, uint32_t i)
{
    uint64_t n = i < GROUP_DATA ? group + (uint64_t)i * p->groups
                                : p->blocks + (uint64_t)group * p->lost + (i - GROUP_DATA);
    return p->table + n * TAG_BYTES;
}

static bool in_group(const struct parity *p, uint32_t group, uint32_t i)
{
    return i >= GROUP_DATA || group + (uint64_t)i * p->groups < p->blocks;
}

/* ---- making ---- */

static cg_err make_blocks(struct parity *p, void *pack, void *out)
{
    uint8_t matrix[GROUP_ALL * GROUP_DATA], tables[32 * GROUP_DATA * PARITY_MAX];
    cg_err e = CG_OK;
    gf_gen_cauchy1_matrix(matrix, (int)(GROUP_DATA + p->lost), GROUP_DATA);
    ec_init_tables(GROUP_DATA, (int)p->lost, matrix + GROUP_DATA * GROUP_DATA, tables);
    for (uint32_t g = 0; g < p->groups && !e; g++) {
        e = read_group(p, pack, g);
        ec_encode_data(BLOCK_BYTES, GROUP_DATA, (int)p->lost, tables, p->block,
                       p->block + GROUP_DATA);
        for (uint32_t i = 0; i < GROUP_DATA + p->lost; i++) {
            if (in_group(p, g, i)) {
                sum_block(p, p->block[i], sum_of(p, g, i));
            }
        }
        uint64_t at = HEAD_BYTES + table_bytes(p) + (uint64_t)g * p->lost * BLOCK_BYTES;
        e = e ? e
              : p->io->write(p->io->ctx, out, at, p->block[GROUP_DATA],
                             (size_t)p->lost * BLOCK_BYTES);
    }
    return e;
}

static cg_err make_parity(struct store *s, const struct pack_record *rec, uint32_t lost,
                          struct cg_errbuf *eb)
{
    struct parity p = {.io = s->io, .pack = rec->id, .bytes = rec->bytes, .lost = lost};
    char from[PATH_BYTES], temp[PATH_BYTES], path[PATH_BYTES];
    void *pack = NULL, *out = NULL;
    numbered_path(from, "packs", rec->id, 8);
    numbered_path(path, "parity", rec->id, 8);
    snprintf(temp, sizeof temp, "parity/tmp-%08x", rec->id);
    s->io->remove(s->io->ctx, temp); /* of one that was cut */
    cg_err e = parity_init(&p);
    e = e ? e : s->io->open(s->io->ctx, from, STORE_IO_READ, &pack);
    e = e ? e : s->io->open(s->io->ctx, temp, STORE_IO_CREATE, &out);
    e = e ? e : make_blocks(&p, pack, out);
    if (!e) {
        put_head(&p, s->id);
        e = s->io->write(s->io->ctx, out, 0, p.head, HEAD_BYTES);
        e = e ? e : s->io->write(s->io->ctx, out, HEAD_BYTES, p.table, table_bytes(&p));
        e = e ? e : s->io->sync(s->io->ctx, out);
    }
    if (pack) {
        s->io->close(s->io->ctx, pack);
    }
    if (out) {
        s->io->close(s->io->ctx, out);
    }
    e = e ? e : s->io->rename(s->io->ctx, temp, path, false);
    e = e == CG_EEXIST ? CG_OK : e;
    parity_fini(&p);
    return e ? cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e)) : CG_OK;
}

static bool has_parity(const struct cg_str *names, uint32_t pack)
{
    for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1) {
        uint64_t id;
        if (numbered_name(names->data + at, 8, &id) && id == pack) {
            return true;
        }
    }
    return false;
}

cg_err store_parity(struct store *s, uint32_t lost, const struct store_progress *p, uint64_t *packs,
                    struct cg_errbuf *eb)
{
    struct cg_str names = {0};
    *packs = 0;
    if (lost < 1 || lost > PARITY_MAX) {
        return cg_fail(eb, CG_EINVAL, "parity for 1 to %d blocks of every %d", PARITY_MAX,
                       GROUP_DATA);
    }
    cg_err e = s->io->mkdir(s->io->ctx, "parity");
    e = e == CG_EEXIST ? CG_OK : e;
    e = e ? e : s->io->list(s->io->ctx, "parity", &names);
    for (size_t i = 0; i < s->state.packs && !e; i++) {
        tell(p, "parity", i, s->state.packs);
        if (!has_parity(&names, s->state.pack[i].id)) {
            e = make_parity(s, &s->state.pack[i], lost, eb);
            *packs += e == CG_OK;
        }
    }
    cg_str_fini(&names);
    return e ? e : s->io->sync_dir(s->io->ctx, "parity");
}

/* ---- mending ---- */

static cg_err load_head(struct parity *p, void *file)
{
    uint8_t sum[TAG_BYTES];
    size_t got = 0;
    cg_err e = p->io->read(p->io->ctx, file, 0, p->head, HEAD_BYTES, &got);
    struct cg_buf b = cg_buf_reader(p->head, got);
    struct cg_span magic = cg_get_span(&b, 8);
    uint16_t version = cg_get_u16(&b);
    p->lost = cg_get_u16(&b);
    uint32_t block = cg_get_u32(&b), pack = cg_get_u32(&b), groups = cg_get_u32(&b);
    p->bytes = cg_get_u64(&b);
    if (e || b.bad || memcmp(magic.data, PARITY_MAGIC, 8) != 0 || version != FORMAT_VERSION ||
        p->lost < 1 || p->lost > PARITY_MAX || block != BLOCK_BYTES || pack != p->pack ||
        p->bytes < PACK_HEAD_BYTES || p->bytes > 2ull * PACK_BYTES_MAX) {
        return e ? e : CG_EBADFORMAT;
    }
    e = parity_init(p);
    e = e ? e : p->io->read(p->io->ctx, file, HEAD_BYTES, p->table, table_bytes(p), &got);
    if (!e && got == table_bytes(p) && groups == p->groups) {
        checker_sum(p->check, p->head, HEAD_SUMMED, p->table, table_bytes(p), sum);
        return memcmp(sum, p->head + HEAD_SUMMED, TAG_BYTES) == 0 ? CG_OK : CG_EIO;
    }
    return e ? e : CG_EIO;
}

/* Computes the blocks of data of a group that are bad; false: too many are. */
static bool rebuild_group(struct parity *p, const bool *bad)
{
    uint8_t matrix[GROUP_ALL * GROUP_DATA], rows[GROUP_DATA * GROUP_DATA],
        inverse[GROUP_DATA * GROUP_DATA], want[PARITY_MAX * GROUP_DATA],
        tables[32 * GROUP_DATA * PARITY_MAX];
    uint8_t *good[GROUP_DATA], *out[PARITY_MAX];
    uint32_t goods = 0, outs = 0;
    gf_gen_cauchy1_matrix(matrix, (int)(GROUP_DATA + p->lost), GROUP_DATA);
    for (uint32_t i = 0; i < GROUP_DATA + p->lost && goods < GROUP_DATA; i++) {
        if (!bad[i]) {
            memcpy(rows + goods * GROUP_DATA, matrix + i * GROUP_DATA, GROUP_DATA);
            good[goods++] = p->block[i];
        }
    }
    if (goods < GROUP_DATA || gf_invert_matrix(rows, inverse, GROUP_DATA) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < GROUP_DATA; i++) {
        if (bad[i]) { /* a row of the inverse gives a block of data from the good ones */
            memcpy(want + outs * GROUP_DATA, inverse + i * GROUP_DATA, GROUP_DATA);
            out[outs++] = p->block[i];
        }
    }
    ec_init_tables(GROUP_DATA, (int)outs, want, tables);
    ec_encode_data(BLOCK_BYTES, GROUP_DATA, (int)outs, tables, good, out);
    return true;
}

/* Reads a group; which of its blocks are not what they were. */
static cg_err examine_group(struct parity *p, void *pack, void *file, uint32_t group,
                            bool bad[GROUP_ALL])
{
    uint8_t sum[TAG_BYTES];
    size_t got = 0;
    cg_err e = read_group(p, pack, group);
    uint64_t at = HEAD_BYTES + table_bytes(p) + (uint64_t)group * p->lost * BLOCK_BYTES;
    e = e ? e
          : p->io->read(p->io->ctx, file, at, p->block[GROUP_DATA], (size_t)p->lost * BLOCK_BYTES,
                        &got);
    memset(p->block[GROUP_DATA] + got, 0, (size_t)p->lost * BLOCK_BYTES - got);
    for (uint32_t i = 0; i < GROUP_ALL; i++) {
        bad[i] = false;
        if (!e && i < GROUP_DATA + p->lost && in_group(p, group, i)) {
            sum_block(p, p->block[i], sum);
            bad[i] = memcmp(sum, sum_of(p, group, i), TAG_BYTES) != 0;
        }
    }
    return e;
}

/* Reads a group and mends it; *changed: it was damaged. */
static cg_err mend_group(struct parity *p, void *pack, void *file, uint32_t group, bool *changed)
{
    bool bad[GROUP_ALL], any = false;
    cg_err e = examine_group(p, pack, file, group, bad);
    for (uint32_t i = 0; i < GROUP_DATA && !e; i++) {
        any |= bad[i];
    }
    *changed |= any;
    return e ? e : !any || rebuild_group(p, bad) ? CG_OK : CG_EIO;
}

static cg_err write_group(struct parity *p, void *out, uint32_t group)
{
    cg_err e = CG_OK;
    for (uint32_t i = 0; i < GROUP_DATA && !e; i++) {
        uint64_t at = (group + (uint64_t)i * p->groups) * BLOCK_BYTES;
        if (at < p->bytes) {
            size_t n = p->bytes - at < BLOCK_BYTES ? (size_t)(p->bytes - at) : BLOCK_BYTES;
            e = p->io->write(p->io->ctx, out, at, p->block[i], n);
        }
    }
    return e;
}

/* The mended pack is written beside the damaged one and takes its place. */
static cg_err mend_into(struct parity *p, void *pack, void *file, bool *changed)
{
    char temp[PATH_BYTES], path[PATH_BYTES];
    void *out = NULL;
    numbered_path(path, "packs", p->pack, 8);
    snprintf(temp, sizeof temp, "packs/tmp-%08x", p->pack);
    p->io->remove(p->io->ctx, temp);
    cg_err e = p->io->open(p->io->ctx, temp, STORE_IO_CREATE, &out);
    for (uint32_t g = 0; g < p->groups && !e; g++) {
        e = mend_group(p, pack, file, g, changed);
        e = e ? e : write_group(p, out, g);
    }
    if (out) {
        e = e ? e : p->io->sync(p->io->ctx, out);
        p->io->close(p->io->ctx, out);
    }
    if (!e && *changed) {
        e = p->io->rename(p->io->ctx, temp, path, true);
        e = e ? e : p->io->sync_dir(p->io->ctx, "packs");
    } else {
        p->io->remove(p->io->ctx, temp);
    }
    return e;
}

/* Both files; the caller closes those that are open, and frees p. */
static cg_err open_both(struct parity *p, void **file, void **pack)
{
    char path[PATH_BYTES];
    numbered_path(path, "parity", p->pack, 8);
    cg_err e = p->io->open(p->io->ctx, path, STORE_IO_READ, file);
    numbered_path(path, "packs", p->pack, 8);
    e = e ? e : load_head(p, *file);
    return e ? e : p->io->open(p->io->ctx, path, STORE_IO_READ, pack);
}

static void close_both(struct parity *p, void *file, void *pack)
{
    if (file) {
        p->io->close(p->io->ctx, file);
    }
    if (pack) {
        p->io->close(p->io->ctx, pack);
    }
    parity_fini(p);
}

cg_err parity_mend(struct store *s, uint32_t pack, bool *mended)
{
    struct parity p = {.io = s->io, .pack = pack};
    void *file = NULL, *damaged = NULL;
    *mended = false;
    cg_err e = open_both(&p, &file, &damaged);
    e = e ? e : mend_into(&p, damaged, file, mended);
    close_both(&p, file, damaged);
    *mended = *mended && !e;
    store_forget_pack(s, pack);
    return e;
}

/* ---- dump ---- */

static cg_err dump_group(struct parity *p, void *pack, void *file, uint32_t group,
                         struct cg_str *out)
{
    bool bad[GROUP_ALL];
    cg_err e = examine_group(p, pack, file, group, bad);
    for (uint32_t i = 0; i < GROUP_DATA + p->lost && !e; i++) {
        if (bad[i] && i < GROUP_DATA) {
            e = cg_str_addf(out, "block %llu of the pack is damaged\n",
                            (unsigned long long)(group + (uint64_t)i * p->groups));
        } else if (bad[i]) {
            e = cg_str_addf(out, "group %u: block %u of parity is damaged\n", group,
                            i - GROUP_DATA);
        }
    }
    return e;
}

cg_err parity_dump(struct store *s, uint32_t pack, struct cg_str *out, struct cg_errbuf *eb)
{
    struct parity p = {.io = s->io, .pack = pack};
    void *file = NULL, *of = NULL;
    cg_err e = open_both(&p, &file, &of);
    e = e ? e
          : cg_str_addf(out,
                        "pack %08x bytes %llu blocks %u of %d in %u groups, %u may be lost of each "
                        "%d\n",
                        pack, (unsigned long long)p.bytes, p.blocks, BLOCK_BYTES, p.groups, p.lost,
                        GROUP_DATA);
    for (uint32_t g = 0; g < p.groups && !e; g++) {
        e = dump_group(&p, of, file, g, out);
    }
    close_both(&p, file, of);
    return e ? cg_fail(eb, e, "parity/%08x: %s", pack, cg_err_meaning(e)) : CG_OK;
}
