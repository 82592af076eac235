/* Tests of the generated codec over all structures, and all messages of all dialects: what is
 * encoded is decoded again; a body that is too short or too long is refused; any bytes are safe,
 * and what decodes encodes to the same bytes. COGNU_SEED replays a failure. */
#include "wire_random.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 40, NOISE_ROUNDS = 400, NOISE_BYTES_MAX = 200 };

static struct wire_random rnd;
static uint8_t body[WIRE_FRAME_BYTES], again[WIRE_FRAME_BYTES];

static int seed(void **state)
{
    (void)state;
    const char *text = getenv("COGNU_SEED");
    uint64_t n = text ? strtoull(text, NULL, 0) : 1;
    print_message("COGNU_SEED=%llu\n", (unsigned long long)n);
    wire_random_init(&rnd, n);
    return 0;
}

static size_t random_body(const struct ninep_shape *s, union wire_any *v)
{
    wire_random_fill(&rnd, s, v);
    struct cg_buf b = cg_buf_writer(body, sizeof body);
    s->put(&b, v);
    assert_false(b.bad);
    assert_int_equal(b.pos, s->size(v));
    return b.pos;
}

static bool decodes(const struct ninep_shape *s, const uint8_t *data, size_t len, union wire_any *v)
{
    struct cg_buf b = cg_buf_reader(data, len);
    memset(v, 0, sizeof *v);
    s->get(&b, v);
    return !b.bad && cg_buf_left(&b) == 0;
}

static bool span_equal(struct cg_span a, struct cg_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool field_equal(const struct ninep_field *f, const uint8_t *a, const uint8_t *b)
{
    const struct ninep_names *na = (const void *)a, *nb = (const void *)b;
    const struct ninep_list *la = (const void *)a, *lb = (const void *)b;
    switch (f->kind) {
    case NINEP_KIND_STR:
    case NINEP_KIND_BLOB:
        return span_equal(*(const struct cg_span *)(const void *)a,
                          *(const struct cg_span *)(const void *)b);
    case NINEP_KIND_NAMES:
        for (uint16_t i = 0; i < na->count; i++) {
            if (!span_equal(na->name[i], nb->name[i])) {
                return false;
            }
        }
        return na->count == nb->count;
    case NINEP_KIND_LIST:
        return la->count == lb->count && span_equal(la->body, lb->body);
    default:
        cg_assert(false);
    }
}

static size_t plain_bytes(const struct ninep_field *f)
{
    static const size_t bytes[] = {
        [NINEP_KIND_U8] = 1,  [NINEP_KIND_U16] = 2,   [NINEP_KIND_U32] = 4,    [NINEP_KIND_U64] = 8,
        [NINEP_KIND_I64] = 8, [NINEP_KIND_ID16] = 16, [NINEP_KIND_KEY32] = 32,
    };
    return f->kind < CG_COUNT(bytes) ? bytes[f->kind] : 0;
}

static bool equal(const struct ninep_shape *s, const uint8_t *a, const uint8_t *b)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct ninep_field *f = &s->fields[i];
        size_t bytes = plain_bytes(f);
        bool same = f->kind == NINEP_KIND_STRUCT ? equal(f->of, a + f->at, b + f->at)
                    : bytes > 0                  ? memcmp(a + f->at, b + f->at, bytes) == 0
                                                 : field_equal(f, a + f->at, b + f->at);
        if (!same) {
            print_error("%s.%s differs\n", s->name, f->name);
            return false;
        }
    }
    return true;
}

static void what_is_encoded_is_decoded(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < WIRE_SHAPES * ROUNDS; i++) {
        const struct ninep_shape *s = wire_shape(i % WIRE_SHAPES);
        union wire_any v, w;
        size_t len = random_body(s, &v);
        assert_true(decodes(s, body, len, &w));
        assert_true(equal(s, v.bytes, w.bytes));
    }
}

static void short_and_long_bodies_are_refused(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < WIRE_SHAPES * 4; i++) {
        const struct ninep_shape *s = wire_shape(i % WIRE_SHAPES);
        union wire_any v, w;
        size_t len = random_body(s, &v);
        for (size_t n = 0; n < len; n++) {
            struct cg_buf b = cg_buf_reader(body, n);
            s->get(&b, &w);
            assert_true(b.bad);
            b = cg_buf_writer(again, n);
            s->put(&b, &v);
            assert_true(b.bad);
        }
        body[len] = 0;
        assert_false(decodes(s, body, len + 1, &w));
    }
}

/* Bytes without sense, or a message with a few bytes changed. */
static void noise_is_safe(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < WIRE_SHAPES * NOISE_ROUNDS; i++) {
        const struct ninep_shape *s = wire_shape(i % WIRE_SHAPES);
        union wire_any v;
        size_t len = wire_random_next(&rnd) % NOISE_BYTES_MAX;
        bool change = i % 2 == 0;
        if (change) {
            len = random_body(s, &v);
        }
        for (size_t n = change ? 3 : len; n > 0 && len > 0; n--) {
            body[change ? wire_random_next(&rnd) % len : n - 1] = (uint8_t)wire_random_next(&rnd);
        }
        if (decodes(s, body, len, &v)) {
            struct cg_buf b = cg_buf_writer(again, sizeof again);
            s->put(&b, &v);
            assert_false(b.bad);
            assert_int_equal(b.pos, len);
            assert_memory_equal(again, body, len);
        }
    }
}

static void by_number(void **state)
{
    (void)state;
    union ninep_tmsg t;
    union ninep_rmsg r;
    for (uint32_t i = 0; i < NINEP_MESSAGES; i++) {
        const struct ninep_message *m = &ninep_messages[i];
        assert_string_equal(ninep_type_name(m->number, m->dialect), m->shape.name);
        assert_int_equal(ninep_type_class(m->number), m->cls);
        bool ng = m->dialect == NINEP_DIALECT_NG, reply = m->cls == NINEP_CLASS_REPLY;
        union wire_any v;
        size_t len = random_body(&m->shape, &v);
        struct cg_buf b = cg_buf_reader(body, len), w = cg_buf_writer(again, sizeof again);
        assert_int_equal(ninep_get_tmsg(m->number, &b, &t), ng && !reply);
        if (ng && !reply) {
            assert_int_equal(ninep_tmsg_size(m->number, &t), len);
            assert_true(ninep_put_tmsg(m->number, &w, &t));
        }
        b = cg_buf_reader(body, len);
        assert_int_equal(ninep_get_rmsg(m->number, &b, &r), ng && reply);
        if (ng && reply) {
            assert_int_equal(ninep_rmsg_size(m->number, &r), len);
            assert_true(ninep_put_rmsg(m->number, &w, &r));
        }
        if (ng) {
            assert_int_equal(w.pos, len);
            assert_memory_equal(again, body, len);
        }
        b = cg_buf_reader(body, len + 1);
        assert_false(ninep_get_tmsg(m->number, &b, &t));
        b = cg_buf_reader(body, len + 1);
        assert_false(ninep_get_rmsg(m->number, &b, &r));
    }
}

static void names_across_dialects(void **state)
{
    (void)state;
    assert_string_equal(ninep_type_name(NINEP_TVERSION, NINEP_DIALECT_NG), "Tversion");
    assert_string_equal(ninep_type_name(NINEP_P_TWALK, NINEP_DIALECT_L), "Twalk");
    assert_string_equal(ninep_type_name(NINEP_L_TGETATTR, NINEP_DIALECT_P), "unknown");
    assert_string_equal(ninep_type_name(NINEP_P_TWALK, NINEP_DIALECT_NG), "unknown");
    assert_string_equal(ninep_type_name(255, NINEP_DIALECT_NG), "unknown");
    assert_int_equal(ninep_type_class(255), NINEP_CLASS_UNKNOWN);
    assert_int_equal(ninep_type_class(0), NINEP_CLASS_UNKNOWN);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const uint8_t zeroes[UINT16_MAX + 1];
    static uint8_t out[3 * sizeof zeroes];
    struct ninep_rreadlink link = {{zeroes, UINT16_MAX}};
    struct cg_buf b = cg_buf_writer(out, sizeof out);
    ninep_put_rreadlink(&b, &link);
    assert_false(b.bad);
    link.target.len++;
    b = cg_buf_writer(out, sizeof out);
    ninep_put_rreadlink(&b, &link);
    assert_true(b.bad);
    struct ninep_twalk walk = {.names = {.count = NINEP_WALK_NAMES_MAX + 1}};
    b = cg_buf_writer(out, sizeof out);
    ninep_put_twalk(&b, &walk);
    assert_true(b.bad);
    union ninep_rmsg r = {.read = {.data = {zeroes, UINT32_MAX}}};
    assert_int_equal(ninep_rmsg_size(NINEP_RREAD, &r), UINT32_MAX);
    b = cg_buf_writer(out, sizeof out);
    assert_false(ninep_put_rmsg(NINEP_RREAD, &b, &r));
}

/* 17 names of no bytes: well formed but for their number. */
static void too_many_names_are_refused(void **state)
{
    (void)state;
    uint8_t raw[16 + 2 + 2 * (NINEP_WALK_NAMES_MAX + 1)] = {0};
    struct ninep_twalk walk;
    for (uint8_t count = NINEP_WALK_NAMES_MAX; count <= NINEP_WALK_NAMES_MAX + 1; count++) {
        raw[16] = count;
        struct cg_buf b = cg_buf_reader(raw, 18 + 2 * count);
        ninep_get_twalk(&b, &walk);
        assert_int_equal(b.bad, count > NINEP_WALK_NAMES_MAX);
    }
}

static void payload_stands_in_its_place(void **state)
{
    (void)state;
    memset(body, 0, sizeof body);
    memcpy(body + NINEP_RREAD_PAYLOAD_AT, "hello", 5);
    struct ninep_rread r = {.eof = 1, .data = {body + NINEP_RREAD_PAYLOAD_AT, 5}};
    struct cg_buf b = cg_buf_writer(body, NINEP_RREAD_PAYLOAD_AT + 5);
    ninep_put_rread(&b, &r);
    assert_false(b.bad);
    assert_int_equal(b.pos, NINEP_RREAD_PAYLOAD_AT + 5);
    b = cg_buf_reader(body, b.pos);
    ninep_get_rread(&b, &r);
    assert_false(b.bad);
    assert_true(cg_span_is(r.data, "hello"));
    assert_ptr_equal(r.data.data, body + NINEP_RREAD_PAYLOAD_AT);
    b = cg_buf_writer(body, NINEP_RREAD_PAYLOAD_AT + 4); /* one byte too few */
    ninep_put_rread(&b, &r);
    assert_true(b.bad);
}

/* One frame as written in the document, byte for byte. */
static void byte_order(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x04, 0x03, 0x02, 0x01, 0x0c, 0x0b, 0x0a, 0x09,
                                    0x08, 0x07, 0x06, 0x05, 0xf0, 0xff, 0xff, 0xff};
    struct ninep_tread t = {0x01020304, 0x05060708090a0b0c, 0xfffffff0};
    struct cg_buf b = cg_buf_writer(body, sizeof body);
    ninep_put_tread(&b, &t);
    assert_int_equal(b.pos, sizeof bytes);
    assert_memory_equal(body, bytes, sizeof bytes);
}

static void lists_are_read_member_by_member(void **state)
{
    (void)state;
    uint8_t members[512];
    struct cg_buf w = cg_buf_writer(members, sizeof members);
    const struct ninep_entry e[2] = {
        {.cookie = 7, .name = cg_span_of("a"), .inline_ = cg_span_of("x"), .whole = 1},
        {.cookie = 9, .name = cg_span_of("bb")},
    };
    ninep_put_entry(&w, &e[0]);
    ninep_put_entry(&w, &e[1]);
    assert_int_equal(w.pos, ninep_size_entry(&e[0]) + ninep_size_entry(&e[1]));
    struct ninep_rreaddir out, in = {.entries = {2, {members, (uint32_t)w.pos}}};
    struct cg_buf b = cg_buf_writer(body, sizeof body);
    ninep_put_rreaddir(&b, &in);
    b = cg_buf_reader(body, b.pos);
    ninep_get_rreaddir(&b, &out);
    assert_false(b.bad);
    assert_ptr_equal(out.entries.body.data, body + NINEP_RREADDIR_PAYLOAD_AT);
    struct cg_buf it = ninep_list_iter(&out.entries);
    for (uint16_t i = 0; i < out.entries.count; i++) {
        struct ninep_entry got;
        ninep_get_entry(&it, &got);
        assert_int_equal(got.cookie, e[i].cookie);
        assert_true(span_equal(got.name, e[i].name));
        assert_true(span_equal(got.inline_, e[i].inline_));
    }
    assert_false(it.bad);
    assert_int_equal(cg_buf_left(&it), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(short_and_long_bodies_are_refused),
        cmocka_unit_test(noise_is_safe),
        cmocka_unit_test(by_number),
        cmocka_unit_test(names_across_dialects),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(too_many_names_are_refused),
        cmocka_unit_test(payload_stands_in_its_place),
        cmocka_unit_test(byte_order),
        cmocka_unit_test(lists_are_read_member_by_member),
    };
    return cmocka_run_group_tests(tests, seed, NULL);
}
