/* handle: the open files and directories of a space. The kernel names one by index and generation,
 * so a stale or made-up name finds nothing. */
#include "adapter.h"

#include <string.h>

enum { NO_HANDLE = UINT32_MAX, HANDLES_FIRST = 64 };

static bool grow(struct space *s)
{
    uint32_t count = s->handle_count ? s->handle_count * 2 : HANDLES_FIRST;
    struct handle *h = count <= HANDLES_MAX ? cg_realloc(s->handles, count * sizeof(*h)) : NULL;
    if (!h) {
        return false;
    }
    memset(h + s->handle_count, 0, (count - s->handle_count) * sizeof(*h));
    for (uint32_t i = count; i-- > s->handle_count;) {
        h[i].next_free = s->handle_free;
        s->handle_free = i;
    }
    s->handles = h;
    s->handle_count = count;
    return true;
}

struct handle *handle_new(struct space *s, uint64_t *fh)
{
    if (s->handle_free == NO_HANDLE && !grow(s)) {
        return NULL;
    }
    uint32_t i = s->handle_free;
    struct handle *h = &s->handles[i];
    s->handle_free = h->next_free;
    *h = (struct handle){.used = true, .generation = h->generation + 1};
    *fh = (uint64_t)h->generation << 32 | i;
    return h;
}

/* A freed index may be named again: its generation then goes on from there. */
struct handle *handle_at(struct space *s, uint64_t fh)
{
    uint32_t i = (uint32_t)fh;
    while (i >= s->handle_count) {
        if (!grow(s)) {
            return NULL;
        }
    }
    uint32_t *at = &s->handle_free;
    while (*at != i && *at != NO_HANDLE) {
        at = &s->handles[*at].next_free;
    }
    if (*at != i) {
        return NULL;
    }
    struct handle *h = &s->handles[i];
    *at = h->next_free;
    *h = (struct handle){.used = true, .generation = (uint32_t)(fh >> 32)};
    return h;
}

struct handle *handle_of(struct space *s, uint64_t fh)
{
    uint32_t i = (uint32_t)fh;
    if (i >= s->handle_count || !s->handles[i].used ||
        s->handles[i].generation != (uint32_t)(fh >> 32)) {
        return NULL;
    }
    return &s->handles[i];
}

void handle_free(struct space *s, uint64_t fh)
{
    struct handle *h = handle_of(s, fh);
    cg_assert(h);
    if (h->file) {
        ns_close(s->ns, h->file);
    }
    cg_str_fini(&h->text);
    if (h->saved) {
        book_drop(s->adapter->book, h->saved);
    }
    *h = (struct handle){.generation = h->generation, .next_free = s->handle_free};
    s->handle_free = (uint32_t)fh;
}

void handles_fini(struct space *s)
{
    for (uint32_t i = 0; i < s->handle_count; i++) {
        if (s->handles[i].used) {
            handle_free(s, (uint64_t)s->handles[i].generation << 32 | i);
        }
    }
    cg_free(s->handles);
    s->handles = NULL;
    s->handle_count = 0;
    s->handle_free = NO_HANDLE;
}
