#include "test_fs.h"

#include <string.h>
#include <sys/stat.h>

static const char *const names[TEST_FILES] = {"log", "bulk", "hang"};

/* File numbers: 1 is the root, 2 and up the files. */
static void set(struct ninep_fid *fid, uint64_t file, struct ninep_attr *attr)
{
    fid->id = (struct ninep_xqid){.volume = 9, .file = file, .type = NINEP_QTYPE_SYNTHETIC};
    if (attr) {
        *attr = (struct ninep_attr){.id = fid->id,
                                    .mode = file == 1 ? S_IFDIR | 0755 : S_IFREG | 0644,
                                    .nlink = 1,
                                    .rights = 7};
    }
}

static uint64_t index_of(const struct ninep_fid *fid)
{
    return fid->id.file - 2;
}

static void on_attach(struct ninep_req *r)
{
    struct test_fs *fs = r->server_aux;
    fs->refs++;
    r->fid->aux = fs;
    set(r->fid, 1, &r->r.attach.attr);
    ninep_respond(r, CG_OK);
}

static cg_err on_clone(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb)
{
    (void)eb;
    struct test_fs *fs = from->aux;
    fs->refs++;
    to->aux = fs;
    to->id = from->id;
    return CG_OK;
}

static cg_err on_walk1(struct ninep_fid *fid, struct cg_span name, struct ninep_attr *attr,
                       struct cg_errbuf *eb)
{
    for (uint64_t i = 0; i < TEST_FILES; i++) {
        if (cg_span_is(name, names[i])) {
            set(fid, 2 + i, attr);
            return CG_OK;
        }
    }
    return cg_fail(eb, CG_ENOENT, "the test has no such file");
}

static void on_clunk(struct ninep_fid *fid)
{
    if (fid->aux) {
        ((struct test_fs *)fid->aux)->refs--;
        fid->aux = NULL;
    }
}

static void on_getattr(struct ninep_req *r)
{
    set(r->fid, r->fid->id.file, &r->r.getattr.attr);
    ninep_respond(r, CG_OK);
}

static void on_open(struct ninep_req *r)
{
    set(r->fid, r->fid->id.file, &r->r.open.attr);
    ninep_respond(r, CG_OK);
}

void test_fs_pattern(uint8_t *data, uint64_t offset, uint32_t count)
{
    memset(data, (int)(offset >> 20 & 0xff), count);
}

static void on_read(struct ninep_req *r)
{
    struct test_fs *fs = r->server_aux;
    uint64_t offset = r->t.read.offset;
    uint32_t n = r->t.read.count < r->data_cap ? r->t.read.count : r->data_cap;
    switch (index_of(r->fid)) {
    case TEST_HANG:
        fs->hanging++;
        return;
    case TEST_BULK:
        test_fs_pattern(r->data, offset, n);
        break;
    default:
        offset = offset < fs->log.len ? offset : fs->log.len;
        n = n < fs->log.len - offset ? n : (uint32_t)(fs->log.len - offset);
        if (n) {
            memcpy(r->data, fs->log.data + offset, n);
        }
        r->r.read.eof = offset + n == fs->log.len;
    }
    r->r.read.data.len = n;
    ninep_respond(r, CG_OK);
}

static void on_write(struct ninep_req *r)
{
    struct test_fs *fs = r->server_aux;
    struct cg_span data = r->t.write.data;
    cg_err e = CG_OK;
    switch (index_of(r->fid)) {
    case TEST_HANG:
        fs->hanging++;
        return;
    case TEST_BULK:
        fs->bulk_bytes += data.len;
        break;
    default:
        e = cg_str_add(&fs->log, data.data, data.len);
    }
    set(r->fid, r->fid->id.file, &r->r.write.attr);
    r->r.write.count = data.len;
    ninep_respond(r, e);
}

static void on_remove(struct ninep_req *r)
{
    struct test_fs *fs = r->server_aux;
    cg_err e = cg_str_addf(&fs->log, "-%.*s", (int)r->t.remove.name.len,
                           (const char *)r->t.remove.name.data);
    set(r->fid, 1, &r->r.remove.dir);
    ninep_respond(r, e);
}

static void on_cancel(struct ninep_req *r)
{
    ((struct test_fs *)r->server_aux)->hanging--;
    ninep_respond(r, CG_ECANCELED);
}

const struct ninep_ops test_fs_ops = {.attach = on_attach,
                                      .clone = on_clone,
                                      .walk1 = on_walk1,
                                      .clunk = on_clunk,
                                      .open = on_open,
                                      .read = on_read,
                                      .write = on_write,
                                      .remove = on_remove,
                                      .getattr = on_getattr,
                                      .cancel = on_cancel};
