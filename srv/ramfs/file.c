/* Regular files: open, contents, holes. Bytes beyond the size within the last page are always zero,
 * so that growing a file needs no clearing. That a fid is open, and open for this, the framework
 * has checked.
 */
#include "ram.h"
#include <string.h>

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t page_up(uint64_t bytes)
{
    return (bytes + RAM_PAGE_BYTES - 1) / RAM_PAGE_BYTES;
}

void ram_copy_out(const struct ram_node *n, uint64_t offset, uint8_t *out, uint64_t count)
{
    while (count > 0) {
        uint64_t at = offset % RAM_PAGE_BYTES, part = min_u64(count, RAM_PAGE_BYTES - at);
        const uint8_t *page = ram_pages_find(&n->pages, offset / RAM_PAGE_BYTES);
        if (page != NULL) {
            memcpy(out, page + at, part);
        } else {
            memset(out, 0, part);
        }
        offset += part;
        out += part;
        count -= part;
    }
}

/* Zeroes a part of one page, if the page is there. */
static void zero_part(struct ram_node *n, uint64_t from, uint64_t to)
{
    uint8_t *page = from < to ? ram_pages_own(n->fs, &n->pages, from / RAM_PAGE_BYTES) : NULL;
    if (page != NULL) {
        memset(page + from % RAM_PAGE_BYTES, 0, to - from);
    }
}

/* Whole pages of the range become holes, its ragged ends zeroes. */
static void punch(struct ram_node *n, uint64_t from, uint64_t to)
{
    uint64_t first = page_up(from), end = to / RAM_PAGE_BYTES;
    if (first > end) {
        zero_part(n, from, to);
        return;
    }
    zero_part(n, from, first * RAM_PAGE_BYTES);
    zero_part(n, end * RAM_PAGE_BYTES, to);
    ram_pages_drop(n->fs, &n->pages, first, end);
}

cg_err ram_set_size(struct ram_node *n, uint64_t size, struct cg_errbuf *eb)
{
    if (S_ISDIR(n->mode)) {
        return cg_fail(eb, CG_EISDIR, "a directory has no size to set");
    }
    if (!S_ISREG(n->mode)) {
        return cg_fail(eb, CG_EINVAL, "only regular files have a size to set");
    }
    if (size > RAM_FILE_BYTES_MAX) {
        return cg_fail(eb, CG_EFBIG, "files of ramfs end at 2^48 bytes");
    }
    if (size < n->size) {
        punch(n, size, RAM_FILE_BYTES_MAX); /* what was allocated beyond the end, too */
    }
    n->size = size;
    return CG_OK;
}

cg_err ram_write_at(struct ram_node *n, uint64_t offset, struct cg_span data, uint32_t *done,
                    struct cg_errbuf *eb)
{
    *done = 0;
    if (offset > RAM_FILE_BYTES_MAX || data.len > RAM_FILE_BYTES_MAX - offset) {
        return cg_fail(eb, CG_EFBIG, "files of ramfs end at 2^48 bytes");
    }
    while (*done < data.len) {
        uint64_t to = offset + *done, at = to % RAM_PAGE_BYTES;
        uint32_t part = (uint32_t)min_u64(data.len - *done, RAM_PAGE_BYTES - at);
        uint8_t *page =
            ram_pages_make(n->fs, &n->pages, to / RAM_PAGE_BYTES, part == RAM_PAGE_BYTES);
        if (page == NULL) {
            break;
        }
        memcpy(page + at, data.data + *done, part);
        *done += part;
    }
    if (*done > 0 && offset + *done > n->size) {
        n->size = offset + *done;
    }
    return *done == 0 && data.len > 0 ? ram_no_space(n->fs, eb) : CG_OK;
}

cg_err ram_slurp(struct ninep_fid *fid, uint8_t *data, uint32_t cap, uint32_t *len)
{
    struct ram_node *n = ram_node(fid);
    *len = UINT32_MAX;
    if (S_ISREG(n->mode) && n->size <= cap && ram_may(fid, n, NINEP_RIGHTS_READ, NULL) == CG_OK) {
        ram_copy_out(n, 0, data, n->size);
        *len = (uint32_t)n->size;
    }
    return CG_OK;
}

/* Checks that fid may open n so, and truncates it if that is asked. */
cg_err ram_open_node(const struct ninep_fid *fid, struct ram_node *n, uint32_t flags,
                     struct cg_errbuf *eb)
{
    static const uint8_t need_of[4] = {NINEP_RIGHTS_READ, NINEP_RIGHTS_WRITE,
                                       NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE, 0};
    uint8_t need = need_of[flags & 3];
    if (need == 0) {
        return cg_fail(eb, CG_EINVAL, "access mode 3 means nothing");
    }
    if (flags & NINEP_OPEN_TRUNC) {
        need |= NINEP_RIGHTS_WRITE;
    }
    if (S_ISLNK(n->mode)) {
        return cg_fail(eb, CG_ELOOP, "symbolic links are followed by the client");
    }
    if ((flags & NINEP_OPEN_DIRECTORY) != 0 && !S_ISDIR(n->mode)) {
        return cg_fail(eb, CG_ENOTDIR, "not a directory");
    }
    if (S_ISDIR(n->mode) && (need & NINEP_RIGHTS_WRITE) != 0) {
        return cg_fail(eb, CG_EISDIR, "a directory cannot be opened for writing");
    }
    if (!S_ISDIR(n->mode) && !S_ISREG(n->mode)) {
        return cg_fail(eb, CG_ENXIO, "devices, pipes and sockets are opened where they are used");
    }
    cg_err e = ram_may(fid, n, need, eb);
    if (e == CG_OK && (flags & NINEP_OPEN_TRUNC) != 0) {
        e = ram_set_size(n, 0, eb);
        ram_touch(n, RAM_MTIME | RAM_CTIME);
    }
    return e;
}

void ram_open(struct ninep_req *r)
{
    struct ram_node *n = ram_node(r->fid);
    cg_err e = ram_open_node(r->fid, n, r->t.open.flags, &r->eb);
    if (e == CG_OK) {
        ram_attr(r->fid, n, &r->r.open.attr);
    }
    ram_respond(r, e);
}

void ram_read(struct ninep_req *r)
{
    const struct ram_node *n = ram_node(r->fid);
    uint64_t offset = min_u64(r->t.read.offset, n->size);
    uint64_t count = min_u64(min_u64(r->t.read.count, r->data_cap), n->size - offset);
    ram_copy_out(n, offset, r->data, count);
    r->r.read.data.len = (uint32_t)count;
    r->r.read.eof = offset + count == n->size;
    ninep_respond(r, CG_OK);
}

/* After a change of contents: times, and the set-id bits, which only the admin's writes leave. */
static void changed(const struct ninep_fid *fid, struct ram_node *n)
{
    if (!ram_admin(fid, n)) {
        n->mode &= ~(uint32_t)S_ISUID;
        n->mode &= (n->mode & S_IXGRP) != 0 ? ~(uint32_t)S_ISGID : UINT32_MAX;
    }
    ram_touch(n, RAM_MTIME | RAM_CTIME);
}

void ram_write(struct ninep_req *r)
{
    struct ram_node *n = ram_node(r->fid);
    bool append = (r->fid->open_flags & NINEP_OPEN_APPEND) != 0;
    uint64_t offset = append ? n->size : r->t.write.offset;
    cg_err e = ram_write_at(n, offset, r->t.write.data, &r->r.write.count, &r->eb);
    if (r->r.write.count > 0) {
        changed(r->fid, n);
    }
    ram_attr(r->fid, n, &r->r.write.attr);
    ram_respond(r, e);
}

/* Gives every page of the range memory, so that later writes to it cannot fail. */
static cg_err fill(struct ram_node *n, uint64_t from, uint64_t to, struct cg_errbuf *eb)
{
    uint64_t first = from / RAM_PAGE_BYTES, end = page_up(to);
    uint64_t free_pages = (n->fs->bytes_max - n->fs->bytes) / RAM_PAGE_BYTES;
    if (end - first > free_pages + n->pages.count) {
        return ram_no_space(n->fs, eb); /* before the loop spends the rest */
    }
    for (uint64_t i = first; i < end; i++) {
        if (ram_pages_find(&n->pages, i) == NULL &&
            ram_pages_make(n->fs, &n->pages, i, true) == NULL) {
            return ram_no_space(n->fs, eb);
        }
    }
    return CG_OK;
}

static cg_err allocate(struct ram_node *n, uint32_t flags, uint64_t from, uint64_t length,
                       struct cg_errbuf *eb)
{
    const uint32_t keep = NINEP_ALLOCFLAG_KEEP_SIZE, hole = NINEP_ALLOCFLAG_PUNCH_HOLE;
    uint32_t what = flags & ~keep;
    if ((what != 0 && what != hole && what != NINEP_ALLOCFLAG_ZERO_RANGE) || flags == hole) {
        return cg_fail(eb, CG_EOPNOTSUPP, "allocate flags %#x are not offered", flags);
    }
    if (length == 0) {
        return cg_fail(eb, CG_EINVAL, "an empty range");
    }
    if (from > RAM_FILE_BYTES_MAX || length > RAM_FILE_BYTES_MAX - from) {
        return cg_fail(eb, CG_EFBIG, "files of ramfs end at 2^48 bytes");
    }
    if (what != 0) {
        punch(n, from, from + length);
    }
    cg_err e = what == hole ? CG_OK : fill(n, from, from + length, eb);
    if (e == CG_OK && (flags & keep) == 0 && from + length > n->size) {
        n->size = from + length;
    }
    return e;
}

void ram_allocate(struct ninep_req *r)
{
    const struct ninep_tallocate *t = &r->t.allocate;
    struct ram_node *n = ram_node(r->fid);
    cg_err e = allocate(n, t->flags, t->offset, t->length, &r->eb);
    if (e == CG_OK || e == CG_ENOSPC || e == CG_ENOMEM) {
        changed(r->fid, n); /* a refusal half-way has changed blocks */
    }
    ram_attr(r->fid, n, &r->r.allocate.attr);
    ram_respond(r, e);
}

void ram_seek(struct ninep_req *r)
{
    struct ram_node *n = ram_node(r->fid);
    uint64_t from = r->t.seek.offset, to = from;
    if (r->t.seek.whence != NINEP_WHENCE_DATA && r->t.seek.whence != NINEP_WHENCE_HOLE) {
        ninep_respond(r, cg_fail(&r->eb, CG_EINVAL, "seek finds data (3) or a hole (4)"));
        return;
    }
    if (from < n->size) {
        bool data = r->t.seek.whence == NINEP_WHENCE_DATA;
        uint64_t page = from / RAM_PAGE_BYTES;
        uint64_t found = data ? ram_pages_data(&n->pages, page) : ram_pages_hole(&n->pages, page);
        uint64_t bytes = found == UINT64_MAX ? UINT64_MAX : found * RAM_PAGE_BYTES;
        to = found == page ? from : bytes;
        to = !data ? min_u64(to, n->size) : to;
    }
    if (from >= n->size || to >= (r->t.seek.whence == NINEP_WHENCE_DATA ? n->size : UINT64_MAX)) {
        ninep_respond(r, cg_fail(&r->eb, CG_ENXIO, "nothing of that kind up to the file's end"));
        return;
    }
    r->r.seek.offset = to;
    ninep_respond(r, CG_OK);
}

/* Copies up to count bytes, holes as holes; gives the number of bytes done. */
static uint64_t copy_pages(const struct ram_node *from, uint64_t offset, struct ram_node *to,
                           uint64_t newoffset, uint64_t count, struct cg_errbuf *eb)
{
    uint64_t done = 0;
    while (done < count) {
        uint64_t at = (offset + done) % RAM_PAGE_BYTES;
        uint32_t part = (uint32_t)min_u64(count - done, RAM_PAGE_BYTES - at), wrote = part;
        const uint8_t *page = ram_pages_find(&from->pages, (offset + done) / RAM_PAGE_BYTES);
        if (page == NULL) {
            punch(to, newoffset + done, newoffset + done + part);
            to->size = to->size > newoffset + done + part ? to->size : newoffset + done + part;
        } else {
            struct cg_span data = {page + at, part};
            if (ram_write_at(to, newoffset + done, data, &wrote, eb) != CG_OK || wrote == 0) {
                break;
            }
        }
        done += wrote;
    }
    return done;
}

void ram_copy(struct ninep_req *r)
{
    const struct ninep_tcopy *t = &r->t.copy;
    struct ram_node *from = ram_node(r->fid), *to = ram_node(r->newfid);
    cg_err e = CG_OK;
    uint64_t left = t->offset < from->size ? from->size - t->offset : 0;
    uint64_t count = min_u64(min_u64(t->length, left), RAM_COPY_BYTES_MAX);
    if (from == to && t->offset < t->newoffset + count && t->newoffset < t->offset + count) {
        e = cg_fail(&r->eb, CG_EINVAL, "the ranges overlap in one file");
    } else if (t->newoffset > RAM_FILE_BYTES_MAX - count) {
        e = cg_fail(&r->eb, CG_EFBIG, "files of ramfs end at 2^48 bytes");
    } else if (count > 0) {
        r->r.copy.count = copy_pages(from, t->offset, to, t->newoffset, count, &r->eb);
        e = r->r.copy.count == 0 ? ram_no_space(to->fs, &r->eb) : CG_OK;
        changed(r->newfid, to);
    }
    ram_attr(r->newfid, to, &r->r.copy.attr);
    ram_respond(r, e);
}
