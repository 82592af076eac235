/* The pages of one regular file: a tree of tables, RAM_FAN ways, as high as the highest page needs.
 * Tables and pages are counted against the file system's bytes alike, so that a sparse file cannot
 * grow tables for nothing. An empty table is freed at once; the height never shrinks until the tree
 * is empty. Pages are records of the book, tables are not: a successor makes them anew.
 */
#include "ram.h"
#include <string.h>

uint8_t *ram_page_get(struct ramfs *fs, uint64_t file, uint64_t index)
{
    if (!ram_charge(fs, RAM_PAGE_BYTES)) {
        return NULL;
    }
    uint8_t *page = book_add(fs->book, RAM_KIND_PAGE, file, index, RAM_PAGE_BYTES);
    if (page == NULL) {
        ram_uncharge(fs, RAM_PAGE_BYTES);
        fs->starved = true;
    }
    fs->changed = true;
    return page;
}

void ram_page_put(struct ramfs *fs, uint8_t *page)
{
    ram_unsave(fs, page);
    ram_uncharge(fs, RAM_PAGE_BYTES);
}

/* A page that is committed is not written: its successor takes its place with the next commit. */
static uint8_t *own(struct ramfs *fs, uint8_t *page, bool whole)
{
    const struct book_head *h = book_head(fs->book, page);
    if (h->born == book_now(fs->book)) {
        return page;
    }
    uint8_t *copy = book_add_raw(fs->book, RAM_KIND_PAGE, h->a, h->b, RAM_PAGE_BYTES);
    if (copy == NULL) {
        fs->starved = true;
        return NULL;
    }
    if (!whole) {
        memcpy(copy, page, RAM_PAGE_BYTES);
    }
    ram_unsave(fs, page);
    return copy;
}

static struct ram_table *table_new(struct ramfs *fs)
{
    if (!ram_charge(fs, sizeof(struct ram_table))) {
        return NULL;
    }
    struct ram_table *t = cg_zalloc(sizeof *t);
    if (t == NULL) {
        ram_uncharge(fs, sizeof *t);
        fs->starved = true;
    }
    return t;
}

static void table_free(struct ramfs *fs, struct ram_table *t)
{
    cg_free(t);
    ram_uncharge(fs, sizeof *t);
}

/* Pages under one slot of a table at this height. */
static uint64_t slot_pages(uint32_t height)
{
    return UINT64_C(1) << (RAM_FAN_BITS * (height - 1));
}

static uint32_t slot_of(uint64_t index, uint32_t height)
{
    return (uint32_t)(index >> (RAM_FAN_BITS * (height - 1))) & (RAM_FAN - 1);
}

static bool covers(const struct ram_pages *p, uint64_t index)
{
    return index >> (RAM_FAN_BITS * p->height) == 0;
}

uint8_t *ram_pages_find(const struct ram_pages *p, uint64_t index)
{
    void *at = covers(p, index) ? p->root : NULL;
    for (uint32_t h = p->height; h > 0 && at != NULL; h--) {
        at = ((struct ram_table *)at)->slot[slot_of(index, h)];
    }
    return at;
}

/* Makes the tree high enough for index. */
static bool grow(struct ramfs *fs, struct ram_pages *p, uint64_t index)
{
    if (p->root == NULL) {
        while (!covers(p, index)) {
            p->height++;
        }
    }
    while (!covers(p, index)) {
        struct ram_table *t = table_new(fs);
        if (t == NULL) {
            return false;
        }
        t->slot[0] = p->root;
        t->used = 1;
        p->root = t;
        p->height++;
    }
    return true;
}

/* Frees tables that hold nothing on the way to index. */
static void prune(struct ramfs *fs, struct ram_pages *p, uint64_t index)
{
    struct ram_table *way[RAM_HEIGHT_MAX + 1];
    uint32_t h = p->height;
    void *at = p->root;
    for (; h > 0 && at != NULL; h--) {
        way[h] = at;
        at = way[h]->slot[slot_of(index, h)];
    }
    for (h++; h <= p->height && way[h]->used == 0; h++) {
        table_free(fs, way[h]);
        if (h == p->height) {
            p->root = NULL;
        } else {
            way[h + 1]->slot[slot_of(index, h + 1)] = NULL;
            way[h + 1]->used--;
        }
    }
    if (p->root == NULL) {
        p->height = 0;
    }
}

/* The slot of index, with the tables on its way made; NULL: no space. */
static void **place(struct ramfs *fs, struct ram_pages *p, uint64_t index, struct ram_table **above)
{
    cg_assert(index < RAM_FILE_BYTES_MAX / RAM_PAGE_BYTES);
    *above = NULL;
    if (!grow(fs, p, index)) {
        return NULL;
    }
    void **at = &p->root;
    for (uint32_t h = p->height; h > 0; h--) {
        if (*at == NULL) {
            *at = table_new(fs);
            if (*at == NULL) {
                prune(fs, p, index);
                return NULL;
            }
            if (*above != NULL) {
                (*above)->used++;
            }
        }
        *above = *at;
        at = &(*above)->slot[slot_of(index, h)];
    }
    return at;
}

static void put_at(struct ram_pages *p, void **at, struct ram_table *above, uint8_t *page)
{
    *at = page;
    p->count++;
    if (above != NULL) {
        above->used++;
    }
}

uint8_t *ram_pages_make(struct ramfs *fs, struct ram_pages *p, uint64_t index, bool whole)
{
    struct ram_table *above;
    void **at = place(fs, p, index, &above);
    if (at == NULL) {
        return NULL;
    }
    if (*at != NULL) {
        uint8_t *page = own(fs, *at, whole);
        *at = page != NULL ? page : *at;
        return page;
    }
    uint8_t *page = ram_page_get(fs, p->file, index);
    if (page == NULL) {
        prune(fs, p, index);
        return NULL;
    }
    put_at(p, at, above, page);
    return page;
}

uint8_t *ram_pages_own(struct ramfs *fs, struct ram_pages *p, uint64_t index)
{
    struct ram_table *above;
    if (ram_pages_find(p, index) == NULL) {
        return NULL;
    }
    void **at = place(fs, p, index, &above);
    uint8_t *page = own(fs, *at, false);
    *at = page != NULL ? page : *at; /* without room it is written where it is: better than not */
    return *at;
}

bool ram_pages_put(struct ramfs *fs, struct ram_pages *p, uint64_t index, uint8_t *page)
{
    struct ram_table *above;
    void **at = place(fs, p, index, &above);
    if (at == NULL || *at != NULL) {
        return false;
    }
    put_at(p, at, above, page);
    return true;
}

static void drop_one(struct ramfs *fs, struct ram_pages *p, uint64_t index)
{
    void **at = &p->root;
    struct ram_table *above = NULL;
    for (uint32_t h = p->height; h > 0; h--) {
        above = *at;
        at = &above->slot[slot_of(index, h)];
    }
    ram_page_put(fs, *at);
    *at = NULL;
    p->count--;
    if (above == NULL) {
        return;
    }
    above->used--;
    if (above->used == 0) {
        prune(fs, p, index);
    }
}

void ram_pages_drop(struct ramfs *fs, struct ram_pages *p, uint64_t first, uint64_t end)
{
    for (uint64_t i = ram_pages_data(p, first); i < end; i = ram_pages_data(p, i)) {
        drop_one(fs, p, i);
    }
}

uint64_t ram_pages_data(const struct ram_pages *p, uint64_t index)
{
    while (p->root != NULL && covers(p, index)) {
        void *at = p->root;
        uint32_t h = p->height;
        while (h > 0 && at != NULL) {
            at = ((struct ram_table *)at)->slot[slot_of(index, h)];
            h--;
        }
        if (at != NULL) {
            return index;
        }
        uint64_t step = slot_pages(h + 1); /* the empty slot covers so many pages */
        index = (index / step + 1) * step;
    }
    return UINT64_MAX;
}

uint64_t ram_pages_hole(const struct ram_pages *p, uint64_t index)
{
    while (ram_pages_find(p, index) != NULL) {
        index++;
    }
    return index;
}
