/* Regions are what the program may touch; pages are what it has touched. A page gets its frame when
 * it is first touched, by the program (a fault) or from here. */
#include "personality.h"

#define PAGE 4096ULL

static uint64_t rights(uint32_t prot)
{
    return (prot ? RIGHT_READ : 0) | (prot & PROT_WRITE ? RIGHT_WRITE : 0) |
           (prot & PROT_EXEC ? RIGHT_EXECUTE : 0);
}

static struct page *find_page(struct program *p, uint64_t address)
{
    uint64_t at = (address / PAGE) * 0x9e3779b97f4a7c15ULL >> 50;
    while (p->page[at % PAGES_MAX].address && p->page[at % PAGES_MAX].address != address) {
        at++;
    }
    return &p->page[at % PAGES_MAX];
}

static const struct region *find_region(const struct program *p, uint64_t address)
{
    for (unsigned i = 0; i < p->regions; i++) {
        if (address >= p->region[i].first && address < p->region[i].end) {
            return &p->region[i];
        }
    }
    return NULL;
}

/* Cuts all regions so that one begins at address, if address is inside of one. */
static bool cut(struct program *p, uint64_t address)
{
    for (unsigned i = 0; i < p->regions; i++) {
        struct region *r = &p->region[i];
        if (address > r->first && address < r->end) {
            if (p->regions == REGIONS_MAX) {
                return false;
            }
            p->region[p->regions] = *r;
            p->region[p->regions].first = address;
            r->end = address;
            p->regions++;
            return true;
        }
    }
    return true;
}

bool memory_add(struct program *p, uint64_t first, uint64_t end, uint32_t prot)
{
    memory_remove(p, first, end);
    for (unsigned i = 0; i < p->regions; i++) {
        if (p->region[i].end == first && p->region[i].prot == prot) {
            p->region[i].end = end;
            return true;
        }
    }
    if (p->regions == REGIONS_MAX) {
        return false;
    }
    p->region[p->regions] = (struct region){.first = first, .end = end, .prot = prot};
    p->regions++;
    return true;
}

/* The frame of a page that is taken away waits for the next page: it is zeroed then. */
void memory_remove(struct program *p, uint64_t first, uint64_t end)
{
    cut(p, first);
    cut(p, end);
    for (unsigned i = 0; i < p->regions;) {
        if (p->region[i].first < first || p->region[i].end > end) {
            i++;
            continue;
        }
        for (uint64_t a = p->region[i].first; a < p->region[i].end; a += PAGE) {
            struct page *page = find_page(p, a);
            if (page->address) {
                memset((void *)(a + LINUX_VIEW), 0, PAGE);
                frame_unmap(page->frame);
            }
        }
        p->regions--;
        p->region[i] = p->region[p->regions];
    }
}

static bool map(struct program *p, const struct page *page, uint32_t prot)
{
    return prot == 0 ||
           space_map(p->holdings, &p->space, page->address, page->frame, rights(prot)) == 0;
}

bool memory_protect(struct program *p, uint64_t first, uint64_t end, uint32_t prot)
{
    bool good = cut(p, first) && cut(p, end);
    for (unsigned i = 0; good && i < p->regions; i++) {
        struct region *r = &p->region[i];
        if (r->first < first || r->end > end || r->prot == prot) {
            continue;
        }
        for (uint64_t a = r->first; a < r->end; a += PAGE) {
            struct page *page = find_page(p, a);
            if (page->address) {
                frame_unmap(page->frame);
                good = map(p, page, prot) && good;
            }
        }
        r->prot = prot;
    }
    return good;
}

uint64_t memory_find(const struct program *p, uint64_t bytes)
{
    uint64_t at = p->mmap_next;
    for (unsigned i = 0; i < p->regions;
         i++) { /* addresses are given once: behind all that was given */
        const struct region *r = &p->region[i];
        if (r->first >= LINUX_MMAP && r->end < LINUX_STACK - LINUX_STACK_BYTES && r->end > at) {
            at = r->end;
        }
    }
    return bytes <= LINUX_STACK - 2 * LINUX_STACK_BYTES - at ? at : 0;
}

bool memory_touch(struct program *p, uint64_t address, uint32_t prot)
{
    uint64_t at = address & -PAGE;
    const struct region *r = find_region(p, at);
    if (!r || (r->prot & prot) != prot) {
        return false;
    }
    struct page *page = find_page(p, at);
    if (page->address) { /* taken away and given again, or not mapped for want of a protection */
        unsigned error = space_map(p->holdings, &p->space, at, page->frame, rights(r->prot));
        return error == 0 || error == ERR_BUSY;
    }
    if (p->pages >= PAGES_MAX * 3 / 4) {
        return false;
    }
    page->address = at;
    page->frame = (uint32_t)frame_new(p->holdings);
    page->view = (uint32_t)copy_new(p->holdings, page->frame, RIGHT_READ | RIGHT_WRITE);
    p->pages++;
    return space_map(p->holdings, p->own, at + LINUX_VIEW, page->view, RIGHT_READ | RIGHT_WRITE) ==
               0 &&
           map(p, page, r->prot);
}

void *memory_view(struct program *p, uint64_t address, uint64_t bytes, uint32_t prot)
{
    if (address >= LINUX_VIEW || bytes > LINUX_VIEW - address) {
        return NULL;
    }
    for (uint64_t at = address & -PAGE; at < address + bytes; at += PAGE) {
        struct page *page = find_page(p, at);
        const struct region *r = find_region(p, at);
        if (!r || (r->prot & prot) != prot || (!page->address && !memory_touch(p, at, prot))) {
            return NULL;
        }
    }
    return (void *)(address + LINUX_VIEW);
}
