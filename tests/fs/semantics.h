/* semantics: what the tests of a file system's semantics share: one file server of the kind that
 * the test is linked with, one client, and short words for what is done and seen. */
#ifndef SEMANTICS_H
#define SEMANTICS_H

#include "rig.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define HOST_USER (UINT64_C(1) << 63)
enum { OTHER_UID = 12345 };

static struct rig *rig;
static struct rig_client *c;

static inline int setup(void **state)
{
    (void)state;
    rig = rig_new(0);
    c = rig_attach(rig, geteuid(), "");
    assert_int_equal(c->err, CG_OK);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    rig_free(rig);
    return 0;
}

#define OK(call)       assert_int_equal(call, CG_OK)
#define FAILS(call, e) assert_int_equal(call, e)

static inline void make(const char *path, const char *text)
{
    uint32_t fid, n;
    OK(rig_create(c, path, NINEP_OPEN_WRITE | NINEP_OPEN_EXCL, 0644, &fid));
    OK(rig_write(c, fid, 0, text, (uint32_t)strlen(text), &n));
    assert_int_equal(n, strlen(text));
    rig_clunk(c, fid);
}

static inline void holds(const char *path, const char *text)
{
    char buf[4096];
    uint32_t fid, n;
    OK(rig_open(c, path, NINEP_OPEN_READ, &fid));
    OK(rig_read(c, fid, 0, buf, sizeof buf, &n));
    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, n);
    assert_true(c->r.read.eof);
    rig_clunk(c, fid);
}

static inline struct ninep_attr stat_of(const char *path)
{
    struct ninep_attr a = {0};
    OK(rig_stat(c, path, &a));
    return a;
}

static inline void lists(const char *path, const char *names)
{
    struct cg_str s = {0};
    OK(rig_names(c, path, &s));
    assert_string_equal(s.data, names);
    cg_str_fini(&s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
