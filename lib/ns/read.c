/* Reading: from the cache, ahead of the reader, or from the server.
 *
 * Read-ahead. A handle that reads on from where it stopped gets a window of blocks under way in
 * front of it, from NS_AHEAD_MIN doubling to NS_AHEAD_MAX, while the file is leased: a break or an
 * own change drops the blocks, because what they hold may then be old. A reader whose block is
 * under way waits for it; one whose block is missing asks the server itself.
 *
 * Read-around. Who reads a little here and a little there of a file that never changes gets what he
 * asked for out of the whole block of blksize bytes, which is what the server works in: it has to
 * unpack that much anyway. The kernel side is given all of it (config.around). Who has read a share
 * of the file so will want the rest, too: from then on NS_AROUND bytes around are asked for, the
 * block that he waits for first. The others come while he goes on; a read of what is under way
 * waits for it. Who was given the file twice over is not helped by it: the kernel does not keep it.
 */
#include "internal.h"

#include <string.h>

static uint32_t most(const struct ns__tree *t)
{
    return ninep_client_msize(t->client) - 64; /* the reply's header and its fixed fields */
}

void ns__block_free(struct ns *ns, struct ns__block *b)
{
    ns->ahead_bytes -= b->want;
    cg_list_del(&b->link);
    ninep_frame_free(b->frame);
    cg_free(b);
}

void ns__ahead_drop(struct ns_file *f)
{
    CG_LIST_EACH (it, &f->blocks) {
        struct ns__block *b = CG_CONTAINER(it, struct ns__block, link);
        if (b->frame) {
            ns__block_free(f->node->ns, b);
        } else {
            cg_list_del(&b->link);
            b->stale = true;
        }
    }
    CG_LIST_EACH (it, &f->beside) { /* beside_came frees it */
        struct ns__block *b = CG_CONTAINER(it, struct ns__block, link);
        cg_list_del(&b->link);
        b->stale = true;
    }
    f->window = 0;
}

static void block_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns__block *b = c->block;
    struct ns_file *f = c->file;
    c->block = NULL;
    if (e || b->stale || r->read.data.len > b->want) {
        ns__block_free(f->node->ns, b);
    } else {
        b->frame = ninep_client_keep_frame(c->tree->client);
        b->data = r->read.data.data;
        b->got = r->read.data.len;
    }
    ns__wake(&f->waiters);
}

/* Asks for one block, which goes into a list of f's. */
static bool block_add(struct ns_op *op, struct ns_file *f, struct cg_list *list, uint64_t offset,
                      uint32_t want, ns__reply *reply)
{
    struct ns *ns = f->node->ns;
    struct ns__flight fl; /* each alone: they need no order */
    struct ns__block *b = cg_zalloc(sizeof *b);
    struct ns__call *c;
    ns__flight_init(&fl, op, f->obj->tree);
    union ninep_tmsg *m = b ? ns__flight_add(&fl, NINEP_TREAD, f->obj, NULL, reply, &c) : NULL;
    if (!m) {
        cg_free(b);
        op->err = CG_OK; /* read without */
        return false;
    }
    b->offset = offset;
    b->want = want;
    ns->ahead_bytes += want;
    cg_list_push(list, &b->link);
    f->refs++;
    c->file = f;
    c->block = b;
    m->read.fid = f->fid;
    m->read.offset = offset;
    m->read.count = want;
    ns__flight_send(&fl);
    return true;
}

/* What other handles read ahead and nobody has taken yet. */
static void take_room(struct ns *ns, const struct ns_file *but)
{
    CG_LIST_EACH (it, &ns->files) {
        struct ns_file *f = CG_CONTAINER(it, struct ns_file, link);
        if (f != but && cg_list_empty(&f->waiters)) {
            ns__ahead_drop(f);
        }
    }
}

/* Blocks begin and end where the reader's own requests do: then each is answered out of one block,
 * and nothing has to be put together. */
static uint32_t block_len(const struct ns_file *f, const struct ns_op *op, uint32_t step)
{
    uint64_t end = op->offset + op->count;
    if (f->ahead_next < end) {
        return end - f->ahead_next < step ? (uint32_t)(end - f->ahead_next) : step;
    }
    return op->count == step ? step - (uint32_t)((f->ahead_next - end) % step) : step;
}

/* Keeps the window in front of offset full. */
static void ahead_fill(struct ns_op *op, struct ns_file *f, uint64_t offset, uint64_t size)
{
    uint32_t room = most(f->obj->tree);
    uint32_t step = room < NS_AHEAD_BLOCK ? room : NS_AHEAD_BLOCK;
    if (cg_list_empty(&f->blocks) || f->ahead_next < offset) {
        f->ahead_next = offset;
    }
    if (f->window == 0) {
        f->window = NS_AHEAD_MIN;
    } else if (f->ahead_next - offset <= f->window / 2 && f->window < NS_AHEAD_MAX) {
        f->window *= 2;
    }
    if (op->ns->ahead_bytes + step > NS_AHEAD_ALL) {
        take_room(op->ns, f);
    }
    while (f->ahead_next < size && f->ahead_next + step <= offset + f->window + op->count &&
           op->ns->ahead_bytes + step <= NS_AHEAD_ALL) {
        uint32_t want = block_len(f, op, step);
        if (!block_add(op, f, &f->blocks, f->ahead_next, want, block_came)) {
            return;
        }
        f->ahead_next += want;
    }
}

static struct ns__block *block_at(struct ns_file *f, uint64_t offset)
{
    CG_LIST_EACH (it, &f->blocks) {
        struct ns__block *b = CG_CONTAINER(it, struct ns__block, link);
        if (b->offset <= offset && offset < b->offset + b->want) {
            return b;
        }
    }
    return NULL;
}

static void retire(struct ns_file *f, uint64_t offset)
{
    CG_LIST_EACH (it, &f->blocks) {
        struct ns__block *b = CG_CONTAINER(it, struct ns__block, link);
        if (b->frame && b->offset + b->want + NS_AHEAD_MIN <= offset) {
            ns__block_free(f->node->ns, b);
        }
    }
}

/* The bytes at op->offset from blocks that are all there. */
static void assemble(struct ns_op *op, struct ns_file *f, uint32_t want)
{
    struct ns__block *b = block_at(f, op->offset);
    uint32_t at = (uint32_t)(op->offset - b->offset);
    if (at + want <= b->got || b->got < b->want) {
        uint32_t there = b->got > at ? b->got - at : 0;
        struct ninep_frame *held = ninep_frame_ref(b->frame);
        ns__finish_data(op, b->data + at, there < want ? there : want);
        ninep_frame_free(held);
        return;
    }
    uint8_t *whole = cg_alloc(want);
    uint32_t have = 0;
    if (!whole) {
        ns__fail(op, CG_ENOMEM, "no memory for a read");
        return;
    }
    while (have < want) {
        b = block_at(f, op->offset + have);
        at = (uint32_t)(op->offset + have - b->offset);
        uint32_t n = b->got > at ? b->got - at : 0;
        n = n < want - have ? n : want - have;
        memcpy(whole + have, b->data + at, n);
        have += n;
        if (b->got < b->want) {
            break;
        }
    }
    ns__finish_data(op, whole, have);
    cg_free(whole);
}

/* false: the read must be made by itself. */
static bool read_ahead(struct ns_op *op, struct ns_file *f, uint32_t want)
{
    struct ns__obj *o = f->obj;
    bool big = op->count > most(o->tree);
    bool on = (op->offset == f->seq_next && op->offset > 0) || block_at(f, op->offset) || big;
    on = on && op->length == 0;
    if (!on || f->state != NS__OPEN || f->session != o->tree->session) {
        return false;
    }
    retire(f, op->offset);
    ahead_fill(op, f, op->offset, o->attr.size);
    if (op->offset + want > f->seq_next) {
        f->seq_next = op->offset + want;
    }
    for (uint64_t at = op->offset; at < op->offset + want;) {
        struct ns__block *b = block_at(f, at);
        if (!b) {
            return false;
        }
        if (!b->frame) {
            ns__op_park(op, &f->waiters);
            return true;
        }
        at = b->offset + b->want;
    }
    assemble(op, f, want);
    return true;
}

/* A read that is larger than a frame is put together in op->data; op->length bytes are there. */
static void read_more(struct ns_op *op, const struct ninep_rread *r)
{
    uint32_t left = op->count - (uint32_t)op->length;
    uint32_t n = r->data.len < left ? r->data.len : left;
    if (!op->data) {
        op->data = cg_alloc(op->count);
    }
    if (!op->data) {
        ns__fail(op, CG_ENOMEM, "no memory for a read");
        return;
    }
    memcpy((uint8_t *)op->data + op->length, r->data.data, n);
    op->length += n;
    if (n == 0 || r->eof || op->length == op->count) {
        ns__finish_data(op, op->data, op->length);
    } else {
        op->step(op);
    }
}

static void read_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    bool old = op && e == CG_OK && c->obj->breaks != op->breaks;
    if (old && op->retries++ < NS_RETRIES_MAX) {
        op->length = 0;
        ns__again(c); /* a break overtook the bytes: the kernel side must not keep them */
        return;
    }
    if (!ns__decide(c, e) || !op) {
        return;
    }
    bool whole = op->length == 0 && (c->len == op->count || r->read.data.len < c->len);
    if (whole || !ns__cacheable(c->obj)) {
        ns__finish_data(op, r->read.data.data, r->read.data.len);
    } else {
        read_more(op, &r->read);
    }
}

/* The block that op->offset lies in; 0: a read is made for what was asked for. */
static uint32_t block_around(const struct ns_op *op, const struct ns_file *f, uint64_t *from)
{
    const struct ninep_attr *a = &f->obj->attr;
    uint32_t block = a->blksize;
    if (!op->ns->config.around || !(a->flags & NINEP_ATTRFLAG_FIXED) || !ns__attr_ok(f->obj) ||
        f->flags & NINEP_OPEN_DIRECT || block > most(f->obj->tree) || op->count >= block ||
        op->offset >= a->size || op->length > 0 || op->retries > 0) {
        return 0;
    }
    *from = op->offset - op->offset % block;
    return op->offset + op->count <= *from + block ? block : 0;
}

/* It is given out while it is in the list: to the kernel side, and to who waits for it. */
static void beside_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns__block *b = c->block;
    struct ns_file *f = c->file;
    struct ns *ns = f->node->ns;
    c->block = NULL;
    if (e || b->stale || r->read.data.len > b->want) {
        cg_list_del(&b->link);
    } else {
        b->frame = ninep_client_keep_frame(c->tree->client);
        b->data = r->read.data.data;
        b->got = r->read.data.len;
        ns->config.around(ns->config.ctx, f->node, b->offset, b->data, b->got, b->frame);
    }
    ns__wake(&f->waiters);
    ns__block_free(ns, b);
}

static struct ns__block *beside_at(struct ns_file *f, uint64_t offset)
{
    CG_LIST_EACH (it, &f->beside) {
        struct ns__block *b = CG_CONTAINER(it, struct ns__block, link);
        if (b->offset <= offset && offset < b->offset + b->want) {
            return b;
        }
    }
    return NULL;
}

/* A part of the file from at to end, in pieces of whole blocks. */
static void ask_part(struct ns_op *op, struct ns_file *f, uint64_t at, uint64_t end, uint32_t block)
{
    uint32_t room = most(f->obj->tree) - most(f->obj->tree) % block;
    uint64_t size = f->obj->attr.size;
    for (end = end < size ? end : size; at < end; at += room) {
        uint32_t len = end - at < room ? (uint32_t)(end - at) : room;
        if (op->ns->ahead_bytes + len > NS_AHEAD_ALL || beside_at(f, at) ||
            !block_add(op, f, &f->beside, at, len, beside_came)) {
            return;
        }
        f->around_bytes += len;
    }
}

/* What is around the block at from, for who reads all over the file. */
static void ask_beside(struct ns_op *op, struct ns_file *f, uint64_t from, uint32_t block)
{
    uint32_t span = block < NS_AROUND ? NS_AROUND - NS_AROUND % block : block;
    uint64_t first = from - from % span;
    uint64_t size = f->obj->attr.size, had = f->around_bytes += block;
    bool many = had >= size / NS_AROUND_SHARE && had / 2 < size;
    if (many && f->state == NS__OPEN && f->session == f->obj->tree->session) {
        ask_part(op, f, first, from, block);
        ask_part(op, f, from + block, first + span, block);
    }
}

/* false: what op wants is not on its way. */
static bool read_beside(struct ns_op *op, struct ns_file *f)
{
    struct ns__block *b = op->length == 0 ? beside_at(f, op->offset) : NULL;
    if (!b || op->offset + op->count > b->offset + b->want) {
        return false;
    }
    if (!b->frame) {
        ns__op_park(op, &f->waiters);
        return true;
    }
    uint32_t at = (uint32_t)(op->offset - b->offset);
    uint32_t there = b->got > at ? b->got - at : 0;
    if (there < op->count && b->offset + b->got < f->obj->attr.size) {
        return false; /* the server gives less at a time */
    }
    ns__finish_data(op, b->data + at, there < op->count ? there : op->count);
    return true;
}

static void around_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns_op *op = c->op;
    if (!ns__decide(c, e) || !op) {
        return;
    }
    struct cg_span all = r->read.data;
    uint32_t at = (uint32_t)(op->offset - c->offset);
    if (all.len < at || (all.len < at + op->count && !r->read.eof)) {
        op->retries++; /* the server gives less at a time: without the rest then */
        ns__again(c);
        return;
    }
    uint32_t there = all.len - at < op->count ? all.len - at : op->count;
    struct ninep_frame *frame = ninep_client_keep_frame(c->tree->client);
    op->ns->config.around(op->ns->config.ctx, op->file->node, c->offset, all.data, all.len, frame);
    ns__finish_data(op, all.data + at, there);
    ninep_frame_free(frame);
}

static void read_plain(struct ns_op *op, struct ns_file *f)
{
    struct ns__flight fl;
    ns__flight_init(&fl, op, f->obj->tree);
    if (!ns__file_ready(&fl, f)) {
        return;
    }
    struct ns__call *c;
    union ninep_tmsg *m = ns__flight_add(&fl, NINEP_TREAD, f->obj, NULL, read_came, &c);
    if (!m) {
        ns__flight_drop(&fl);
        ns__fail(op, CG_ENOMEM, "no memory for a read");
        return;
    }
    ns__await(c, op);
    if (op->length == 0) {
        op->breaks = f->obj->breaks;
    }
    bool small = op->offset == 0 && op->length == 0 && ns__attr_ok(f->obj);
    uint32_t room = most(f->obj->tree), left = op->count - (uint32_t)op->length;
    m->read.fid = f->fid;
    m->read.offset = op->offset + op->length;
    m->read.count = c->len = left < room ? left : room;
    uint64_t from = 0;
    uint32_t block = block_around(op, f, &from);
    if (block) {
        c->reply = around_came;
        m->read.offset = c->offset = from;
        m->read.count = c->len = block;
    }
    f->seq_next = op->offset + op->count;
    ns__flight_send(&fl);
    if (block) {
        ask_beside(op, f, from, block);
    }
    if (small) {
        ns__contents_ahead(op, f->obj);
    }
}

static void read_bytes(struct ns_op *op, struct ns__bytes *b)
{
    uint64_t at = op->offset < b->len ? op->offset : b->len;
    uint64_t n = b->len - at < op->count ? b->len - at : op->count;
    b->refs++;
    ns__finish_data(op, b->data + at, (size_t)n);
    ns__bytes_put(b);
}

static void read_step(struct ns_op *op)
{
    struct ns_file *f = op->file;
    struct ns__obj *o = f->obj;
    if (!o) {
        ns__fail(op, CG_EISDIR, "a directory is read entry by entry");
        return;
    }
    if (f->error && f->error == o->dead) {
        ns__fail(op, f->error, f->detail);
        return;
    }
    if (!ns__tree_up(op, o->tree) || (ns__cacheable(o) && !ns__caught_up(op, o))) {
        return;
    }
    if (o->attr.id.type & NINEP_QTYPE_STREAM) {
        op->endless = true;
        op->deadline_ns = 0;
    }
    bool direct = f->flags & NINEP_OPEN_DIRECT;
    if (ns__contents_ok(o) && !direct) {
        read_bytes(op, o->contents);
        return;
    }
    if (ns__attr_ok(o) && !direct) {
        if (op->offset >= o->attr.size) {
            ns__finish_data(op, NULL, 0);
            return;
        }
        uint64_t left = o->attr.size - op->offset;
        if (read_beside(op, f)) {
            return;
        }
        if (read_ahead(op, f, left < op->count ? (uint32_t)left : op->count)) {
            return;
        }
    }
    read_plain(op, f);
}

struct ns_op *ns_read(struct ns *ns, struct ns_file *f, uint64_t offset, uint32_t count,
                      ns_data_done *done, void *aux)
{
    struct ns_op *op = ns__op_new(ns, NS__DATA, read_step, aux);
    if (!op) {
        done(aux, CG_ENOMEM, NULL, 0, "no memory for an operation");
        return NULL;
    }
    op->done.data = done;
    op->offset = offset;
    op->count = count;
    ns__op_file(op, f);
    return ns__op_start(op);
}
