/* The allocator's only door: every allocation of Cognu passes here, so that a test can make the
 * n-th one fail. */
#include <cognu/base.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static uint64_t fail_in; /* 0: injection is off; 1: the next allocation fails */

static bool must_fail(void)
{
    return fail_in > 0 && --fail_in == 0;
}

void cg_alloc_fail_at(uint64_t n)
{
    fail_in = n;
}

void *cg_alloc(size_t bytes)
{
    return must_fail() ? NULL : malloc(bytes ? bytes : 1);
}

void *cg_zalloc(size_t bytes)
{
    return must_fail() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *cg_realloc(void *p, size_t bytes)
{
    return must_fail() ? NULL : realloc(p, bytes ? bytes : 1);
}

char *cg_strndup(const char *s, size_t len)
{
    char *copy = cg_alloc(len + 1);
    if (copy) {
        memcpy(copy, s, len);
        copy[len] = 0;
    }
    return copy;
}

char *cg_strdup(const char *s)
{
    return cg_strndup(s, strlen(s));
}

void cg_free(void *p)
{
    free(p);
}

void cg_alloc_keep_freed(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most that glibc takes */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
}

void cg_wipe(void *p, size_t bytes)
{
    explicit_bzero(p, bytes);
}
