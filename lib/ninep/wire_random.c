/* wire_random: see wire_random.h. The generator is splitmix64 (Steele, Lea, Flood, 2014): one
 * multiplication chain per number, any seed is good. */
#include "wire_random.h"
#include <string.h>

void wire_random_init(struct wire_random *r, uint64_t seed)
{
    r->state = seed;
    r->used = 0;
}

uint64_t wire_random_next(struct wire_random *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

const struct ninep_shape *wire_shape(uint32_t i)
{
    cg_assert(i < WIRE_SHAPES);
    return i < NINEP_MESSAGES ? &ninep_messages[i].shape : ninep_structs[i - NINEP_MESSAGES];
}

/* Small, extreme and arbitrary numbers, each often. */
static uint64_t number(struct wire_random *r)
{
    uint64_t n = wire_random_next(r);
    switch (wire_random_next(r) % 4) {
    case 0:
        return n % 8;
    case 1:
        return UINT64_MAX - n % 2;
    default:
        return n;
    }
}

static uint8_t *arena(struct wire_random *r, size_t bytes)
{
    cg_assert(bytes <= sizeof r->arena - r->used);
    uint8_t *p = r->arena + r->used;
    r->used += bytes;
    return p;
}

static struct cg_span bytes_of(struct wire_random *r)
{
    struct cg_span s = {NULL, (uint32_t)(wire_random_next(r) % WIRE_STR_BYTES)};
    uint8_t *p = arena(r, s.len);
    for (uint32_t i = 0; i < s.len; i++) {
        p[i] = (uint8_t)wire_random_next(r);
    }
    s.data = p;
    return s;
}

static struct ninep_names names_of(struct wire_random *r)
{
    struct ninep_names n = {.count = (uint16_t)(wire_random_next(r) % (NINEP_WALK_NAMES_MAX + 1))};
    for (uint16_t i = 0; i < n.count; i++) {
        n.name[i] = bytes_of(r);
    }
    return n;
}

static void fill(struct wire_random *r, const struct ninep_shape *shape, uint8_t *out);

static struct ninep_list list_of(struct wire_random *r, const struct ninep_shape *member)
{
    struct ninep_list l = {.count = (uint16_t)(wire_random_next(r) % WIRE_LIST_MEMBERS)};
    uint8_t encoded[4096];
    struct cg_buf b = cg_buf_writer(encoded, sizeof encoded);
    for (uint16_t i = 0; i < l.count; i++) {
        union wire_any v;
        fill(r, member, v.bytes);
        member->put(&b, &v);
    }
    cg_assert(!b.bad);
    uint8_t *p = arena(r, b.pos);
    memcpy(p, encoded, b.pos);
    l.body = (struct cg_span){p, (uint32_t)b.pos};
    return l;
}

static void fill_field(struct wire_random *r, const struct ninep_field *f, uint8_t *at)
{
    uint64_t n = number(r);
    switch (f->kind) {
    case NINEP_KIND_U8:
        *at = (uint8_t)n;
        break;
    case NINEP_KIND_U16:
        *(uint16_t *)(void *)at = (uint16_t)n;
        break;
    case NINEP_KIND_U32:
        *(uint32_t *)(void *)at = (uint32_t)n;
        break;
    case NINEP_KIND_U64:
    case NINEP_KIND_I64:
        *(uint64_t *)(void *)at = n;
        break;
    case NINEP_KIND_ID16:
    case NINEP_KIND_KEY32:
        for (int i = 0; i < (f->kind == NINEP_KIND_ID16 ? 16 : 32); i++) {
            at[i] = (uint8_t)wire_random_next(r);
        }
        break;
    case NINEP_KIND_STR:
    case NINEP_KIND_BLOB:
        *(struct cg_span *)(void *)at = bytes_of(r);
        break;
    case NINEP_KIND_NAMES:
        *(struct ninep_names *)(void *)at = names_of(r);
        break;
    case NINEP_KIND_LIST:
        *(struct ninep_list *)(void *)at = list_of(r, f->of);
        break;
    case NINEP_KIND_STRUCT:
        fill(r, f->of, at);
        break;
    }
}

/* Recursive over the grammar, which the generator has checked to be finite. */
static void fill(struct wire_random *r, const struct ninep_shape *shape, uint8_t *out)
{
    for (uint32_t i = 0; i < shape->count; i++) {
        fill_field(r, &shape->fields[i], out + shape->fields[i].at);
    }
}

void wire_random_fill(struct wire_random *r, const struct ninep_shape *shape, union wire_any *out)
{
    cg_assert(shape->bytes <= sizeof *out);
    memset(out, 0, sizeof *out);
    r->used = 0;
    fill(r, shape, out->bytes);
}

static struct cg_span tail_of(struct wire_random *r)
{
    struct cg_buf b = cg_buf_writer(arena(r, 256), 256);
    for (uint64_t n = wire_random_next(r) % 3; n > 0; n--) {
        struct ninep_tailitem item = {(uint16_t)number(r), bytes_of(r)};
        ninep_put_tailitem(&b, &item);
    }
    cg_assert(!b.bad);
    return (struct cg_span){b.base, (uint32_t)b.pos};
}

static void make_header(struct wire_random *r, const struct ninep_message *m, uint32_t body_bytes,
                        struct wire_header *head)
{
    head->tail = (struct cg_span){NULL, 0};
    if (m->dialect == NINEP_DIALECT_NG) {
        head->tail = tail_of(r);
    }
    uint32_t size = body_bytes + head->tail.len;
    uint16_t tag = (uint16_t)number(r), tail = (uint16_t)head->tail.len;
    memset(&head->value, 0, sizeof head->value);
    if (m->dialect != NINEP_DIALECT_NG) {
        struct ninep_phead h = {NINEP_P_HEADER_BYTES + size, m->number, tag};
        head->shape = &ninep_shape_phead;
        memcpy(&head->value, &h, sizeof h);
    } else if (m->cls == NINEP_CLASS_REPLY) {
        struct ninep_rhead h = {NINEP_R_HEADER_BYTES + size, m->number, tag, 0, tail, 0, 0};
        h.flags = (uint8_t)number(r);
        h.queue = (uint16_t)number(r);
        h.server_us = (uint32_t)number(r);
        head->shape = &ninep_shape_rhead;
        memcpy(&head->value, &h, sizeof h);
    } else {
        struct ninep_thead h = {.size = NINEP_T_HEADER_BYTES + size, .type = m->number};
        h.tag = tag;
        h.tail = tail;
        h.flags = (uint8_t)number(r);
        h.seq = (uint32_t)number(r);
        h.chain = (uint32_t)number(r);
        h.deadline_ms = (uint32_t)number(r);
        h.trace = number(r);
        head->shape = &ninep_shape_thead;
        memcpy(&head->value, &h, sizeof h);
    }
}

size_t wire_random_frame(struct wire_random *r, const struct ninep_message *m,
                         const union wire_any *v, struct wire_header *head, uint8_t *out,
                         size_t cap)
{
    make_header(r, m, (uint32_t)m->shape.size(v), head);
    struct cg_buf b = cg_buf_writer(out, cap);
    head->shape->put(&b, &head->value);
    if (head->tail.len > 0) {
        cg_put_bytes(&b, head->tail.data, head->tail.len);
    }
    m->shape.put(&b, v);
    cg_assert(!b.bad);
    return b.pos;
}
