/* wire_vectors: writes test vectors of the C encoder: for each message of each dialect, random
 * ones.
 *
 *     wire_vectors [--rounds N] [--seed N]              to standard output, in the form of
 * README.md wire_vectors [--rounds N] [--seed N] --corpus DIR one file a frame, as seeds of the
 * fuzzer
 *
 * The expected values are those that the encoder was given, not decoded ones; only the members of
 * lists, which are given in encoded form, are decoded by C (wire_test.c checks that).
 */
#include "wire_random.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 128 };

static void print_fields(const char *path, const struct ninep_shape *s, const uint8_t *v);

static void print_bytes(const char *path, const uint8_t *data, size_t len)
{
    printf("%s x", path);
    for (size_t i = 0; i < len; i++) {
        printf("%02x", data[i]);
    }
    printf("\n");
}

static void print_names(const char *path, const struct ninep_names *n)
{
    char sub[PATH_BYTES];
    printf("%s %u\n", path, n->count);
    for (uint16_t i = 0; i < n->count; i++) {
        snprintf(sub, sizeof sub, "%s.%u", path, i);
        print_bytes(sub, n->name[i].data, n->name[i].len);
    }
}

static void print_list(const char *path, const struct ninep_shape *of, const struct ninep_list *l)
{
    char sub[PATH_BYTES];
    struct cg_buf it = ninep_list_iter(l);
    printf("%s %u\n", path, l->count);
    for (uint16_t i = 0; i < l->count; i++) {
        union wire_any v;
        of->get(&it, &v);
        snprintf(sub, sizeof sub, "%s.%u", path, i);
        print_fields(sub, of, v.bytes);
    }
    cg_assert(!it.bad && cg_buf_left(&it) == 0);
}

static void print_field(const char *path, const struct ninep_field *f, const uint8_t *at)
{
    const struct cg_span *span = (const void *)at;
    switch (f->kind) {
    case NINEP_KIND_U8:
        printf("%s %u\n", path, *at);
        break;
    case NINEP_KIND_U16:
        printf("%s %u\n", path, *(const uint16_t *)(const void *)at);
        break;
    case NINEP_KIND_U32:
        printf("%s %" PRIu32 "\n", path, *(const uint32_t *)(const void *)at);
        break;
    case NINEP_KIND_U64:
        printf("%s %" PRIu64 "\n", path, *(const uint64_t *)(const void *)at);
        break;
    case NINEP_KIND_I64:
        printf("%s %" PRId64 "\n", path, *(const int64_t *)(const void *)at);
        break;
    case NINEP_KIND_ID16:
        print_bytes(path, at, 16);
        break;
    case NINEP_KIND_KEY32:
        print_bytes(path, at, 32);
        break;
    case NINEP_KIND_STR:
    case NINEP_KIND_BLOB:
        print_bytes(path, span->data, span->len);
        break;
    case NINEP_KIND_NAMES:
        print_names(path, (const void *)at);
        break;
    case NINEP_KIND_LIST:
        print_list(path, f->of, (const void *)at);
        break;
    case NINEP_KIND_STRUCT:
        print_fields(path, f->of, at);
        break;
    }
}

/* Recursive over the grammar, which the generator has checked to be finite. */
static void print_fields(const char *path, const struct ninep_shape *s, const uint8_t *v)
{
    char sub[PATH_BYTES];
    for (uint32_t i = 0; i < s->count; i++) {
        snprintf(sub, sizeof sub, "%s.%s", path, s->fields[i].name);
        print_field(sub, &s->fields[i], v + s->fields[i].at);
    }
}

static void print_vector(const struct ninep_message *m, const union wire_any *v,
                         const struct wire_header *head, const uint8_t *frame, size_t len)
{
    static const char *const dialects[] = {
        [NINEP_DIALECT_P] = "P", [NINEP_DIALECT_L] = "L", [NINEP_DIALECT_NG] = "NG"};
    printf("message %s %s\nframe ", dialects[m->dialect], m->shape.name);
    for (size_t i = 0; i < len; i++) {
        printf("%02x", frame[i]);
    }
    printf("\n");
    print_fields("head", head->shape, head->value.bytes);
    struct cg_buf tail = cg_buf_reader(head->tail.data, head->tail.len);
    for (uint32_t i = 0; cg_buf_left(&tail) > 0; i++) {
        struct ninep_tailitem item;
        ninep_get_tailitem(&tail, &item);
        printf("item.%u.type %u\n", i, item.type);
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "item.%u.value", i);
        print_bytes(path, item.value.data, item.value.len);
    }
    print_fields("body", &m->shape, v->bytes);
    printf("\n");
}

static void print_struct(struct wire_random *r, const struct ninep_shape *s, uint8_t *bytes,
                         size_t cap)
{
    union wire_any v;
    wire_random_fill(r, s, &v);
    struct cg_buf b = cg_buf_writer(bytes, cap);
    s->put(&b, &v);
    cg_assert(!b.bad);
    printf("structure %s\nbytes ", s->name);
    for (size_t i = 0; i < b.pos; i++) {
        printf("%02x", bytes[i]);
    }
    printf("\n");
    print_fields("body", s, v.bytes);
    printf("\n");
}

static bool write_seed(const char *dir, uint32_t number, const uint8_t *frame, size_t len)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%05u", dir, number);
    FILE *f = fopen(path, "wb");
    if (!f) {
        perror(path);
        return false;
    }
    bool ok = fwrite(frame, 1, len, f) == len;
    return fclose(f) == 0 && ok;
}

int main(int argc, char **argv)
{
    static struct wire_random r;
    static uint8_t frame[WIRE_FRAME_BYTES];
    uint64_t seed = 1, rounds = 1;
    const char *corpus = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[i + 1], NULL, 0);
        } else if (strcmp(argv[i], "--rounds") == 0) {
            rounds = strtoull(argv[i + 1], NULL, 0);
        } else if (strcmp(argv[i], "--corpus") == 0) {
            corpus = argv[i + 1];
        }
    }
    wire_random_init(&r, seed);
    for (uint32_t i = 0; i < NINEP_MESSAGES * rounds; i++) {
        const struct ninep_message *m = &ninep_messages[i % NINEP_MESSAGES];
        union wire_any v;
        struct wire_header head;
        wire_random_fill(&r, &m->shape, &v);
        size_t len = wire_random_frame(&r, m, &v, &head, frame, sizeof frame);
        if (!corpus) {
            print_vector(m, &v, &head, frame, len);
        } else if (!write_seed(corpus, i, frame, len)) {
            return 1;
        }
    }
    for (uint32_t i = 0; i < NINEP_STRUCTS * rounds && !corpus; i++) {
        print_struct(&r, ninep_structs[i % NINEP_STRUCTS], frame, sizeof frame);
    }
    return 0;
}
