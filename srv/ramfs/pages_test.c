/* The tree of pages against a flat array of flags, with memory that runs out. */
#include "ram.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGES = 3000, STEPS = 20000 };

static struct ramfs fs_with(uint64_t bytes_max)
{
    struct ramfs fs = {.bytes_max = bytes_max};
    struct book_config c = {.kind = RAMFS_BOOK, .bytes = ramfs_book_bytes(bytes_max), .fd = -1};
    assert_int_equal(book_new(&c, &fs.book, NULL), CG_OK);
    return fs;
}

static void finds_what_was_made(void **state)
{
    (void)state;
    struct ramfs fs = fs_with(1 << 30);
    struct ram_pages p = {0};
    const uint64_t far = RAM_FILE_BYTES_MAX / RAM_PAGE_BYTES - 1;
    const uint64_t index[] = {0, 511, 512, 262144, far};
    for (size_t i = 0; i < CG_COUNT(index); i++) {
        assert_null(ram_pages_find(&p, index[i]));
        uint8_t *page = ram_pages_make(&fs, &p, index[i], false);
        assert_non_null(page);
        assert_ptr_equal(ram_pages_find(&p, index[i]), page);
        assert_int_equal(p.count, i + 1);
    }
    assert_int_equal(ram_pages_data(&p, 1), 511);
    assert_int_equal(ram_pages_data(&p, 513), 262144);
    assert_int_equal(ram_pages_data(&p, 262145), far);
    assert_true(ram_pages_data(&p, far + 1) == UINT64_MAX);
    assert_int_equal(ram_pages_hole(&p, 511), 513);
    ram_pages_drop(&fs, &p, 0, UINT64_MAX);
    assert_int_equal(fs.bytes, 0);
    assert_null(p.root);
    book_free(fs.book);
}

static void a_full_system_gives_everything_back(void **state)
{
    (void)state;
    for (uint64_t max = 0; max < 6 * sizeof(struct ram_table); max += 1000) {
        struct ramfs fs = fs_with(max);
        struct ram_pages p = {0};
        uint64_t bytes = 0;
        if (ram_pages_make(&fs, &p, 5, true) != NULL) {
            bytes = fs.bytes;
        }
        if (ram_pages_make(&fs, &p, UINT64_C(1) << 30, true) == NULL) {
            assert_true(fs.bytes <= bytes + 4 * sizeof(struct ram_table));
        }
        assert_true(fs.bytes <= max);
        ram_pages_drop(&fs, &p, 0, UINT64_MAX);
        assert_int_equal(p.count, 0);
        assert_int_equal(fs.bytes, 0);
        book_free(fs.book);
    }
}

static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static void agrees_with_flags(void **state)
{
    (void)state;
    static bool flag[PAGES];
    const char *text = getenv("COGNU_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 0x9e3779b97f4a7c15;
    printf("replay with COGNU_SEED=%llu\n", (unsigned long long)seed);
    struct ramfs fs = fs_with(400 * RAM_PAGE_BYTES); /* so that it is often full */
    struct ram_pages p = {0};
    for (int i = 0; i < STEPS; i++) {
        uint64_t at = next_random(&seed) % PAGES;
        if (next_random(&seed) % 100 < 97) {
            flag[at] |= ram_pages_make(&fs, &p, at, false) != NULL;
        } else {
            uint64_t end = at + next_random(&seed) % 300;
            ram_pages_drop(&fs, &p, at, end);
            for (uint64_t j = at; j < end && j < PAGES; j++) {
                flag[j] = false;
            }
        }
        uint64_t data = at, hole = at;
        for (; data < PAGES && !flag[data]; data++) {
        }
        for (; hole < PAGES && flag[hole]; hole++) {
        }
        assert_true(ram_pages_data(&p, at) == (data == PAGES ? UINT64_MAX : data));
        assert_true(ram_pages_hole(&p, at) == hole);
    }
    ram_pages_drop(&fs, &p, 0, UINT64_MAX);
    assert_int_equal(fs.bytes, 0);
    book_free(fs.book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_made),
        cmocka_unit_test(a_full_system_gives_everything_back),
        cmocka_unit_test(agrees_with_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
