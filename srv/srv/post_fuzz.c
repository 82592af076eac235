/* Feeds text to the parsers of posts and queries: what is taken prints in a form that is taken
 * again and prints the same. */
#include "post.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct post a, b;
    struct cg_errbuf eb = {0};
    struct cg_str first = {0}, second = {0};
    struct cg_span line = {data, size < 1 << 16 ? (uint32_t)size : 1 << 16};
    if (post_parse_query(line, &a, &eb) == CG_OK && post_parse(line, &b, &eb) == CG_OK) {
        cg_assert(a.attrs == 0 || b.attrs == 0); /* a dial string is no attribute */
    }
    if (post_parse(line, &a, &eb) == CG_OK && post_print(&a, &first) == CG_OK &&
        first.len < POST_BYTES_MAX) {
        cg_err e = post_parse(cg_span_of(first.data), &b, &eb);
        cg_assert(!e && post_print(&b, &second) == CG_OK);
        cg_assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        cg_assert(post_matches(&b, "x", &(struct post){0}));
    }
    cg_str_fini(&first);
    cg_str_fini(&second);
    return 0;
}
