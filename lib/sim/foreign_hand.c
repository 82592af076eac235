/* foreign_hand: see foreign_hand.h. */
#include "foreign_hand.h"
#include <stdarg.h>
#include <string.h>

/* ---- one attribute for all files ---- */

static struct cg_str attr_name, attr_value;
static struct cg_str attr_text;

static void xattrget(struct ninep_req *r)
{
    struct cg_span name = r->t.xattrget.name;
    const struct cg_str *found = NULL;
    if (name.len == 0) {
        found = &attr_name;
    } else if (attr_name.len && cg_span_is(name, attr_name.data)) {
        found = &attr_value;
    } else {
        ninep_respond(r, CG_ENODATA);
        return;
    }
    uint32_t len = (uint32_t)found->len + (found == &attr_name && found->len);
    if (len > r->data_cap) {
        ninep_respond(r, CG_ERANGE);
        return;
    }
    if (len) {
        memcpy(r->data, found->data, len);
    }
    r->r.xattrget.size = r->r.xattrget.value.len = len;
    ninep_respond(r, CG_OK);
}

static void forget_attr(void)
{
    cg_str_fini(&attr_name);
    cg_str_fini(&attr_value);
    attr_name = attr_value = (struct cg_str){0};
}

static cg_err set_attr(const struct ninep_txattrset *t)
{
    bool there = attr_name.len && cg_span_is(t->name, attr_name.data);
    if (t->flags & (NINEP_XATTRFLAG_REMOVE | NINEP_XATTRFLAG_REPLACE) && !there) {
        return CG_ENODATA;
    }
    if (t->flags & NINEP_XATTRFLAG_CREATE && there) {
        return CG_EEXIST;
    }
    forget_attr();
    if (t->flags & NINEP_XATTRFLAG_REMOVE) {
        return CG_OK;
    }
    cg_err e = cg_str_add(&attr_name, t->name.data, t->name.len);
    return e ? e : cg_str_add(&attr_value, t->value.data, t->value.len);
}

static void xattrset(struct ninep_req *r)
{
    ninep_respond(r, set_attr(&r->t.xattrset));
}

const struct cg_str *abroad_attr(void)
{
    attr_text.len = 0;
    if (attr_name.len) {
        cg_err e = cg_str_addf(&attr_text, "%s=%s", attr_name.data, attr_value.data);
        cg_assert(e == CG_OK);
    } else {
        cg_err e = cg_str_add(&attr_text, "", 0);
        cg_assert(e == CG_OK);
    }
    return &attr_text;
}

void abroad_world(struct world *w)
{
    w->ops.xattrget = xattrget;
    w->ops.xattrset = xattrset;
    w->config.foreign = true;
}

void abroad_world_fini(struct world *w)
{
    forget_attr();
    cg_str_fini(&attr_text);
    attr_text = (struct cg_str){0};
    world_fini(w);
}

/* ---- connections ---- */

void abroad_init(struct abroad *a, struct world *w)
{
    memset(a, 0, sizeof *a);
    a->w = w;
}

void abroad_forget(struct abroad *a)
{
    for (uint32_t i = 0; i < a->answers; i++) {
        ninep_frame_free(a->answer[i].frame);
    }
    a->answers = 0;
}

void abroad_cut(struct abroad *a)
{
    struct ninep_conn *c = a->conn;
    a->conn = NULL;
    if (c) {
        ninep_conn_closed(c);
    }
}

void abroad_fini(struct abroad *a)
{
    abroad_cut(a);
    abroad_forget(a);
}

static void on_send(void *ctx, struct ninep_frame *f)
{
    struct abroad *a = ctx;
    struct ninep_phead h;
    struct cg_buf b = cg_buf_reader(f->data, f->len);
    ninep_get_phead(&b, &h);
    cg_assert(!b.bad && h.size == f->len && a->answers < ABROAD_ANSWERS_MAX);
    a->answer[a->answers++] = (struct answer){.frame = f, .type = h.type, .tag = h.tag, .body = b};
}

static void on_close(void *ctx)
{
    struct abroad *a = ctx;
    a->closed = true;
    abroad_cut(a);
}

void abroad_bytes(struct abroad *a, const void *data, uint32_t len)
{
    struct ninep_frame *f = a->conn ? ninep_frame_new(len) : NULL;
    if (!f) {
        a->failed = true;
        return;
    }
    memcpy(f->data, data, len);
    f->len = len;
    ninep_conn_frame(a->conn, f);
}

/* ---- messages ---- */

static void pack(struct cg_buf *b, const char *fmt, va_list ap)
{
    for (; *fmt; fmt++) {
        if (*fmt == 's') {
            const char *s = va_arg(ap, const char *);
            cg_put_u16(b, (uint16_t)strlen(s));
            cg_put_bytes(b, s, strlen(s));
            continue;
        }
        uint64_t v = va_arg(ap, uint64_t);
        switch (*fmt) {
        case 'b':
            cg_put_u8(b, (uint8_t)v);
            break;
        case 'w':
            cg_put_u16(b, (uint16_t)v);
            break;
        case 'd':
            cg_put_u32(b, (uint32_t)v);
            break;
        default:
            cg_assert(*fmt == 'q');
            cg_put_u64(b, v);
        }
    }
}

static void send_list(struct abroad *a, uint16_t tag, uint8_t type, const char *fmt, va_list ap)
{
    uint8_t bytes[ABROAD_MSIZE];
    struct cg_buf b = cg_buf_writer(bytes, sizeof bytes);
    b.pos = NINEP_P_HEADER_BYTES;
    pack(&b, fmt, ap);
    cg_assert(!b.bad);
    struct cg_buf head = cg_buf_writer(bytes, NINEP_P_HEADER_BYTES);
    struct ninep_phead h = {.size = (uint32_t)b.pos, .type = type, .tag = tag};
    ninep_put_phead(&head, &h);
    abroad_bytes(a, bytes, h.size);
}

void abroad_send(struct abroad *a, uint16_t tag, uint8_t type, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    send_list(a, tag, type, fmt, ap);
    va_end(ap);
}

struct answer *abroad_take(struct abroad *a)
{
    for (uint32_t i = 0; i < a->answers; i++) {
        if (!a->answer[i].taken) {
            a->answer[i].taken = true;
            return &a->answer[i];
        }
    }
    return NULL;
}

uint8_t abroad_call(struct abroad *a, uint8_t type, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    send_list(a, 1, type, fmt, ap);
    va_end(ap);
    struct answer *got = abroad_take(a);
    if (!got) {
        return 0;
    }
    a->r = got->body;
    return got->type;
}

bool abroad_start(struct abroad *a, const char *version)
{
    static const struct ninep_conn_ops ops = {.send = on_send, .close = on_close};
    struct ninep_peer peer = {.local = true, .uid = 1000};
    a->closed = false;
    if (ninep_conn_new(a->w->server, &peer, &ops, a, &a->conn) != CG_OK) {
        a->conn = NULL;
        return false;
    }
    abroad_send(a, NINEP_VERSION_TAG, NINEP_TVERSION, "ds", (uint64_t)ABROAD_MSIZE, version);
    struct answer *got = abroad_take(a);
    if (!got || got->type != NINEP_RVERSION) {
        return false;
    }
    cg_get_u32(&got->body);
    return cg_span_is(cg_get_span(&got->body, cg_get_u16(&got->body)), version);
}
