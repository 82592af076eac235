/* Memory that runs out at every place: one sequence of requests, again and again, with the n-th
 * allocation failing for every n. The callbacks are called directly, with requests made by hand, so
 * that only the file server's own allocations fail. Whatever was refused, the tree must be whole:
 * everything that the sequence made can be removed, and nothing else is there.
 */
#include "rig.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { TIMES = 150, DATA = 20000 };

static uv_loop_t loop;
static const struct ninep_ops *ops;
static void *aux;
static struct ninep_fid root;
static uint8_t data[DATA];
static cg_err answer;
static uint32_t entries, refused;
static bool answered;

/* ---- what the framework would do ---------------------------------------------------------------
 */

void ninep_respond(struct ninep_req *r, cg_err e)
{
    (void)r;
    assert_false(answered);
    answered = true;
    answer = e;
}

bool ninep_dir_add(struct ninep_req *r, uint64_t cookie, struct cg_span name,
                   const struct ninep_attr *attr, const void *inline_data, uint32_t inline_len)
{
    (void)r;
    (void)cookie;
    (void)name;
    (void)attr;
    (void)inline_data;
    (void)inline_len;
    entries++;
    return true;
}

uint32_t ninep_dir_inline_room(const struct ninep_req *r)
{
    (void)r;
    return 4096;
}

void *ninep_server_aux(struct ninep_server *s)
{
    (void)s;
    return aux;
}

void ninep_server_changed(struct ninep_server *s, const struct ninep_xqid *id)
{
    (void)s;
    (void)id;
}

/* ---- requests by hand ---------------------------------------------------------------------------
 */

typedef void callback(struct ninep_req *r);

static cg_err call(callback *f, struct ninep_fid *fid, struct ninep_fid *newfid,
                   const union ninep_tmsg *t)
{
    struct ninep_req r = {.t = *t, .fid = fid, .newfid = newfid, .data = data, .data_cap = DATA};
    r.server_aux = aux;
    answered = false;
    f(&r);
    while (!answered) {
        uv_run(&loop, UV_RUN_ONCE); /* fsync */
    }
    if (answer == CG_ENOMEM) {
        refused++;
    } else if (answer != CG_OK) { /* what follows from an earlier refusal */
        assert_true(answer == CG_ENOENT || answer == CG_EEXIST || answer == CG_EOPNOTSUPP);
    }
    return answer;
}

static struct ninep_fid fid_like(const struct ninep_fid *f)
{
    return (struct ninep_fid){.principal = f->principal, .rights = 7};
}

static cg_err create(uint32_t mode, const char *name, const char *target, struct ninep_fid *made)
{
    union ninep_tmsg t = {.create = {.flags = NINEP_OPEN_RDWR,
                                     .mode = mode,
                                     .name = cg_span_of(name),
                                     .target = cg_span_of(target)}};
    *made = fid_like(&root);
    cg_err e = call(ops->create, &root, made, &t);
    made->open = e == CG_OK && S_ISREG(mode);
    made->open_flags = NINEP_OPEN_RDWR;
    return e;
}

static void remove_name(const char *name, bool dir)
{
    union ninep_tmsg t = {
        .remove = {.flags = dir ? NINEP_REMOVEFLAG_DIR : 0, .name = cg_span_of(name)}};
    call(ops->remove, &root, NULL, &t);
}

static void use_file(struct ninep_fid *f)
{
    union ninep_tmsg t = {.write = {.offset = 5000, .data = {data, DATA / 2}}};
    cg_err e = CG_OK;
    struct ninep_req r = {.t = t, .fid = f, .server_aux = aux};
    answered = false;
    ops->write(&r);
    e = answer;
    assert_true(e == CG_OK || e == CG_ENOMEM);
    refused += e != CG_OK;
    t = (union ninep_tmsg){.xattrset = {.name = cg_span_of("user.x"), .value = {data, 10}}};
    call(ops->xattrset, f, NULL, &t);
    t = (union ninep_tmsg){.link = {.name = cg_span_of("link")}};
    call(ops->link, f, &root, &t);
    t = (union ninep_tmsg){.fsync = {.dataonly = 1}};
    call(ops->fsync, f, NULL, &t);
}

static void sequence(void)
{
    struct ninep_fid file, dir, link, walked = fid_like(&root);
    struct ninep_attr attr;
    if (create(S_IFREG | 0644, "file", "", &file) == CG_OK) {
        use_file(&file);
    }
    create(S_IFDIR | 0755, "dir", "", &dir);
    create(S_IFLNK | 0777, "sym", "target", &link);
    cg_err e = ops->clone(&root, &walked, NULL);
    if (e == CG_OK) {
        e = ops->walk1(&walked, cg_span_of("dir"), &attr, NULL);
    }
    assert_true(e == CG_OK || e == CG_ENOMEM || e == CG_ENOENT);
    union ninep_tmsg t = {.rename = {.name = cg_span_of("file"), .newname = cg_span_of("renamed")}};
    call(ops->rename, &root, &root, &t);
    t = (union ninep_tmsg){.put = {.mode = 0600, .name = cg_span_of("put"), .data = {data, 9000}}};
    call(ops->put, &root, NULL, &t);
    call(ops->put, &root, NULL, &t);
    t = (union ninep_tmsg){.readdir = {.want = NINEP_WANT_INLINE, .inline_max = 100}};
    call(ops->readdir, &root, NULL, &t);
    struct ninep_fid *const all[] = {&file, &dir, &link, &walked};
    for (size_t i = 0; i < CG_COUNT(all); i++) {
        ops->clunk(all[i]);
    }
}

static void clean(void)
{
    static const char *const files[] = {"file", "link", "renamed", "put", "sym"};
    for (size_t i = 0; i < CG_COUNT(files); i++) {
        remove_name(files[i], false);
    }
    remove_name("dir", true);
    union ninep_tmsg t = {.readdir = {0}};
    entries = 0;
    assert_int_equal(call(ops->readdir, &root, NULL, &t), CG_OK);
    assert_int_equal(entries, 0);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    char where[256];
    uint32_t fine = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    rig_kind.start(&loop, 0, &ops, &aux, where);
    root = (struct ninep_fid){.principal = UINT64_C(1) << 63 | geteuid(), .rights = 7};
    union ninep_tmsg t = {.attach = {0}};
    assert_int_equal(call(ops->attach, &root, NULL, &t), CG_OK);
    for (uint64_t n = 1; n <= TIMES; n++) {
        uint32_t before = refused;
        cg_alloc_fail_at(n);
        sequence();
        cg_alloc_fail_at(0);
        fine += refused == before;
        clean();
    }
    printf("%u requests were refused for want of memory, %u of %d rounds were not hit\n", refused,
           fine, TIMES);
    assert_true(refused > 5);
    assert_true(fine > 0); /* so TIMES covers the whole sequence */
    ops->clunk(&root);
    rig_kind.stop(aux);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
    return cmocka_run_group_tests_name(rig_kind.name, tests, NULL, NULL);
}
