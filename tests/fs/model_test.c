/* Random operations on a file server and on a trivially correct shadow in memory; every answer, and
 * from time to time the whole tree, must agree. A failure prints the seed that replays it.
 *
 * The shadow: nodes, and names that stand for (directory, name, node). Few names and shallow paths,
 * so that operations meet.
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

enum {
    STEPS = 6000,
    CHECK_EVERY = 500,
    NODES = 8192,
    NAMES = 512,
    SIZE_MAX_ = 20000, /* a few pages */
    WORDS = 4,
    DEPTH = 3,
    HELD = 4,
};

struct node {
    uint32_t type; /* S_IF* */
    uint32_t mode, links, size;
    uint8_t *data;
};

struct name {
    uint32_t dir, node; /* indices; node 0 is the root, a name with node 0 is free */
    char text[4];
};

static struct node node[NODES];
static struct name name[NAMES];
static uint32_t nodes;
static uint64_t seed;
static struct rig *rig;
static struct rig_client *c;

/* A file that stays open whatever happens to its names. */
static struct {
    uint32_t fid, node;
} held[HELD];

static uint32_t pick(uint32_t n)
{
    return (uint32_t)(rig_random(&seed) >> 33) % n;
}

/* ---- the shadow -------------------------------------------------------------------------------
 */

static struct name *find(uint32_t dir, const char *text)
{
    for (int i = 0; i < NAMES; i++) {
        if (name[i].node != 0 && name[i].dir == dir && strcmp(name[i].text, text) == 0) {
            return &name[i];
        }
    }
    return NULL;
}

static uint32_t children(uint32_t dir)
{
    uint32_t n = 0;
    for (int i = 0; i < NAMES; i++) {
        n += name[i].node != 0 && name[i].dir == dir;
    }
    return n;
}

static bool above(uint32_t high, uint32_t low)
{
    while (low != high && low != 0) {
        for (int i = 0; i < NAMES; i++) {
            if (name[i].node == low) {
                low = name[i].dir;
                break;
            }
        }
    }
    return low == high;
}

static uint32_t new_node(uint32_t type, uint32_t mode)
{
    cg_assert(nodes < NODES);
    node[nodes] = (struct node){.type = type, .mode = mode};
    if (type == S_IFREG) {
        node[nodes].data = cg_zalloc(SIZE_MAX_);
    }
    return nodes++;
}

static void add_name(uint32_t dir, const char *text, uint32_t n)
{
    for (int i = 0; i < NAMES; i++) {
        if (name[i].node == 0) {
            name[i] = (struct name){.dir = dir, .node = n};
            snprintf(name[i].text, sizeof name[i].text, "%s", text);
            node[n].links++;
            return;
        }
    }
    abort();
}

static void drop_name(struct name *n)
{
    node[n->node].links--;
    n->node = 0;
}

/* A path as the shadow sees it. */
struct place {
    char text[2 * DEPTH];
    char last[2];
    cg_err err; /* of the way to its directory */
    uint32_t dir;
    struct name *name; /* NULL: nothing there */
};

static struct place random_place(void)
{
    struct place p = {0};
    uint32_t depth = 1 + pick(DEPTH);
    size_t at = 0;
    for (uint32_t i = 0; i < depth; i++) {
        if (i > 0) {
            if (p.err == CG_OK && p.name == NULL) {
                p.err = CG_ENOENT;
            } else if (p.err == CG_OK && node[p.name->node].type != S_IFDIR) {
                p.err = CG_ENOTDIR;
            } else if (p.err == CG_OK) {
                p.dir = p.name->node;
            }
            p.text[at++] = '/';
        }
        p.last[0] = (char)('a' + (int)pick(WORDS));
        p.text[at++] = p.last[0];
        p.name = p.err == CG_OK ? find(p.dir, p.last) : NULL;
    }
    return p;
}

static cg_err way(const struct place *p)
{
    return p->err != CG_OK ? p->err : p->name == NULL ? CG_ENOENT : CG_OK;
}

static void resize(struct node *n, uint32_t size)
{
    if (size < n->size) {
        memset(n->data + size, 0, n->size - size);
    }
    n->size = size;
}

/* ---- operations: what the shadow says, then what the server says -------------------------------
 */

#define AGREE(got, want, what, where)                                                              \
    do {                                                                                           \
        cg_err got_ = (got);                                                                       \
        if (got_ != (want)) {                                                                      \
            fail_msg("%s %s: server says %s (%s), shadow %s", what, where, cg_err_name(got_),      \
                     c->detail, cg_err_name(want));                                                \
        }                                                                                          \
    } while (0)

static void do_create(void)
{
    struct place p = random_place();
    bool excl = pick(2), trunc = pick(3) == 0;
    uint32_t kind = p.name != NULL ? node[p.name->node].type : 0;
    cg_err want = p.err;
    if (want == CG_OK && p.name != NULL) {
        want = excl ? CG_EEXIST : kind == S_IFDIR ? CG_EISDIR : kind == S_IFLNK ? CG_ELOOP : CG_OK;
    }
    uint32_t mode = 0600 | pick(0100), fid;
    uint32_t flags =
        NINEP_OPEN_RDWR | (excl ? NINEP_OPEN_EXCL : 0) | (trunc ? NINEP_OPEN_TRUNC : 0);
    AGREE(rig_create(c, p.text, flags, mode, &fid), want, "create", p.text);
    if (want != CG_OK) {
        return;
    }
    uint32_t n = p.name != NULL ? p.name->node : new_node(S_IFREG, mode);
    if (p.name == NULL) {
        add_name(p.dir, p.last, n);
    }
    if (trunc) {
        resize(&node[n], 0);
    }
    uint32_t slot = pick(HELD);
    if (held[slot].node != 0) {
        rig_clunk(c, held[slot].fid);
    }
    held[slot].fid = fid;
    held[slot].node = n;
}

static void do_special(void)
{
    struct place p = random_place();
    bool dir = pick(4) > 0;
    cg_err want = p.err != CG_OK ? p.err : p.name != NULL ? CG_EEXIST : CG_OK;
    AGREE(dir ? rig_mkdir(c, p.text, 0755) : rig_symlink(c, "t", p.text), want,
          dir ? "mkdir" : "symlink", p.text);
    if (want == CG_OK) {
        add_name(p.dir, p.last, dir ? new_node(S_IFDIR, 0755) : new_node(S_IFLNK, 0777));
    }
}

static void do_write(void)
{
    static uint8_t data[SIZE_MAX_];
    uint32_t slot = pick(HELD), n = held[slot].node, count;
    if (n == 0) {
        return;
    }
    uint32_t at = pick(SIZE_MAX_), len = pick(SIZE_MAX_ - at);
    memset(data, 'a' + (int)pick(26), len);
    AGREE(rig_write(c, held[slot].fid, at, data, len, &count), (cg_err)CG_OK, "write", "held");
    assert_int_equal(count, len);
    memcpy(node[n].data + at, data, len);
    if (len > 0 && at + len > node[n].size) {
        node[n].size = at + len;
    }
}

static void do_punch(void)
{
    uint32_t slot = pick(HELD), n = held[slot].node;
    uint32_t at = pick(SIZE_MAX_), len = 1 + pick(SIZE_MAX_ - at);
    if (n == 0) {
        return;
    }
    union ninep_tmsg t = {
        .allocate = {.fid = held[slot].fid,
                     .flags = NINEP_ALLOCFLAG_KEEP_SIZE | NINEP_ALLOCFLAG_PUNCH_HOLE,
                     .offset = at,
                     .length = len}};
    AGREE(rig_call(c, NINEP_TALLOCATE, &t), (cg_err)CG_OK, "punch", "held");
    memset(node[n].data + at, 0, len);
}

static void compare(uint32_t n, uint32_t fid, const char *what)
{
    static uint8_t data[SIZE_MAX_ + 16];
    struct ninep_attr a;
    uint32_t count;
    AGREE(rig_fstat(c, fid, &a), (cg_err)CG_OK, "stat", what);
    assert_int_equal(a.size, node[n].size);
    assert_int_equal(a.nlink, node[n].links);
    assert_int_equal(a.mode, node[n].type | node[n].mode);
    AGREE(rig_read(c, fid, 0, data, sizeof data, &count), (cg_err)CG_OK, "read", what);
    assert_int_equal(count, node[n].size);
    assert_memory_equal(data, node[n].data, count);
    uint32_t at = pick(SIZE_MAX_), len = pick(SIZE_MAX_);
    AGREE(rig_read(c, fid, at, data, len, &count), (cg_err)CG_OK, "read", what);
    uint32_t left = at < node[n].size ? node[n].size - at : 0;
    assert_int_equal(count, len < left ? len : left);
    assert_memory_equal(data, node[n].data + at, count);
}

static void do_read(void)
{
    uint32_t slot = pick(HELD);
    if (held[slot].node != 0) {
        compare(held[slot].node, held[slot].fid, "held");
    }
}

static void do_truncate(void)
{
    struct place p = random_place();
    uint32_t size = pick(SIZE_MAX_);
    cg_err want = way(&p);
    if (want == CG_OK) {
        uint32_t type = node[p.name->node].type;
        want = type == S_IFDIR ? CG_EISDIR : type == S_IFLNK ? CG_EINVAL : CG_OK;
    }
    AGREE(rig_truncate(c, p.text, size), want, "truncate", p.text);
    if (want == CG_OK) {
        resize(&node[p.name->node], size);
    }
}

static void do_chmod(void)
{
    struct place p = random_place();
    uint32_t mode = 0600 | pick(0100);
    cg_err want = way(&p);
    if (want == CG_OK && node[p.name->node].type != S_IFREG) {
        return; /* a directory of mode 0600 would stop the test; links have none */
    }
    AGREE(rig_chmod(c, p.text, mode), want, "chmod", p.text);
    if (want == CG_OK) {
        node[p.name->node].mode = mode;
    }
}

static void do_remove(void)
{
    struct place p = random_place();
    bool dir = pick(2);
    cg_err want = way(&p);
    if (want == CG_OK) {
        bool is_dir = node[p.name->node].type == S_IFDIR;
        if (dir != is_dir) {
            want = dir ? CG_ENOTDIR : CG_EISDIR;
        } else if (is_dir && children(p.name->node) > 0) {
            want = CG_ENOTEMPTY;
        }
    }
    AGREE(rig_remove(c, p.text, dir), want, dir ? "rmdir" : "unlink", p.text);
    if (want == CG_OK) {
        drop_name(p.name);
    }
}

static cg_err rename_wants(const struct place *a, const struct place *b, uint32_t flags)
{
    if (a->err != CG_OK || b->err != CG_OK) {
        return a->err != CG_OK ? a->err : b->err;
    }
    if (a->name == NULL) {
        return CG_ENOENT;
    }
    uint32_t from = a->name->node, to = b->name != NULL ? b->name->node : 0;
    bool swap = (flags & NINEP_RENAMEFLAG_EXCHANGE) != 0;
    if (swap && to == 0) {
        return CG_ENOENT;
    }
    if ((flags & NINEP_RENAMEFLAG_NOREPLACE) != 0 && to != 0) {
        return CG_EEXIST;
    }
    if (node[from].type == S_IFDIR && above(from, b->dir)) {
        return CG_EINVAL;
    }
    if (to != 0 && node[to].type == S_IFDIR && above(to, a->dir)) {
        return swap ? CG_EINVAL : CG_ENOTEMPTY;
    }
    if (to == 0 || from == to || swap) {
        return CG_OK;
    }
    bool from_dir = node[from].type == S_IFDIR, to_dir = node[to].type == S_IFDIR;
    if (from_dir != to_dir) {
        return from_dir ? CG_ENOTDIR : CG_EISDIR;
    }
    return to_dir && children(to) > 0 ? CG_ENOTEMPTY : CG_OK;
}

/* When both ways fail, which is told first is nobody's promise. */
static cg_err either(const struct place *a, const struct place *b, cg_err got, cg_err want)
{
    bool both = a->err != CG_OK && b->err != CG_OK;
    return both && (got == a->err || got == b->err) ? got : want;
}

static void do_rename(void)
{
    static const uint32_t flag[4] = {0, 0, NINEP_RENAMEFLAG_NOREPLACE, NINEP_RENAMEFLAG_EXCHANGE};
    struct place a = random_place(), b = random_place();
    uint32_t flags = flag[pick(4)];
    char what[140];
    snprintf(what, sizeof what, "%s to %s, flags %u", a.text, b.text, flags);
    cg_err want = rename_wants(&a, &b, flags);
    cg_err got = rig_rename(c, a.text, b.text, flags);
    want = either(&a, &b, got, want);
    AGREE(got, want, "rename", what);
    if (want != CG_OK || (b.name != NULL && a.name->node == b.name->node)) {
        return;
    }
    uint32_t from = a.name->node;
    if (flags & NINEP_RENAMEFLAG_EXCHANGE) {
        a.name->node = b.name->node;
        b.name->node = from;
        return;
    }
    if (b.name != NULL) {
        drop_name(b.name);
    }
    add_name(b.dir, b.last, from);
    drop_name(a.name);
}

static void do_link(void)
{
    struct place a = random_place(), b = random_place();
    cg_err want = way(&a);
    if (want == CG_OK && node[a.name->node].type == S_IFDIR) {
        return; /* refused, but by whom depends on the file system */
    }
    want = want != CG_OK ? want : b.err;
    want = want == CG_OK && b.name != NULL ? CG_EEXIST : want;
    cg_err got = rig_link(c, a.text, b.text);
    want = either(&a, &b, got, want);
    AGREE(got, want, "link", a.text);
    if (want == CG_OK) {
        add_name(b.dir, b.last, a.name->node);
    }
}

static void do_put(void)
{
    static uint8_t data[SIZE_MAX_];
    struct place p = random_place();
    uint32_t len = pick(SIZE_MAX_), mode = 0600 | pick(0100);
    bool excl = pick(4) == 0;
    cg_err want = p.err;
    if (want == CG_OK && p.name != NULL) {
        want = excl ? CG_EEXIST : node[p.name->node].type == S_IFDIR ? CG_EISDIR : CG_OK;
    }
    memset(data, 'A' + (int)pick(26), len);
    AGREE(rig_put(c, p.text, excl ? NINEP_OPEN_EXCL : 0, mode, data, len), want, "put", p.text);
    if (want == CG_OK) {
        uint32_t n = new_node(S_IFREG, mode);
        memcpy(node[n].data, data, len);
        node[n].size = len;
        if (p.name != NULL) {
            drop_name(p.name);
        }
        add_name(p.dir, p.last, n);
    }
}

/* ---- the whole tree ---------------------------------------------------------------------------
 */

static void check_dir(uint32_t dir, const char *path)
{
    struct cg_str got = {0}, want = {0};
    for (int w = 0; w < WORDS; w++) {
        char text[2] = {(char)('a' + w), '\0'};
        if (find(dir, text) != NULL) {
            cg_err e = cg_str_addf(&want, "%s%s", want.len > 0 ? " " : "", text);
            assert_int_equal(e, CG_OK);
        }
    }
    AGREE(rig_names(c, path, &got), (cg_err)CG_OK, "list", path);
    assert_string_equal(got.data, want.data != NULL ? want.data : "");
    cg_str_fini(&got);
    cg_str_fini(&want);
}

static void check_file(const struct name *n, const char *path)
{
    uint32_t fid;
    if (node[n->node].type == S_IFREG) {
        AGREE(rig_open(c, path, NINEP_OPEN_READ, &fid), (cg_err)CG_OK, "open", path);
        compare(n->node, fid, path);
        rig_clunk(c, fid);
    }
}

/* Breadth first: the queue holds paths; the tree is as small as its names. */
static void check_tree(void)
{
    static struct {
        uint32_t dir;
        char path[64];
    } queue[NAMES + 1];
    uint32_t head = 0, tail = 1;
    queue[0].dir = 0;
    queue[0].path[0] = '\0';
    for (; head < tail; head++) {
        if (strlen(queue[head].path) > 2 * NINEP_WALK_NAMES_MAX - 4) {
            continue; /* renames made it deeper than one walk */
        }
        check_dir(queue[head].dir, queue[head].path);
        for (int i = 0; i < NAMES; i++) {
            if (name[i].node == 0 || name[i].dir != queue[head].dir) {
                continue;
            }
            char path[sizeof queue[0].path];
            snprintf(path, sizeof path, "%.58s%s%s", queue[head].path,
                     queue[head].path[0] != '\0' ? "/" : "", name[i].text);
            check_file(&name[i], path);
            if (node[name[i].node].type == S_IFDIR) {
                memcpy(queue[tail].path, path, sizeof path);
                queue[tail++].dir = name[i].node;
            }
        }
    }
}

static void agrees_with_the_shadow(void **state)
{
    (void)state;
    static void (*const operation[])(void) = {
        do_create,   do_create, do_special, do_write,  do_write,  do_punch,  do_read, do_read,
        do_truncate, do_chmod,  do_remove,  do_remove, do_rename, do_rename, do_link, do_put,
    };
    seed = rig_seed();
    rig = rig_new(0);
    c = rig_attach(rig, geteuid(), "");
    new_node(S_IFDIR, 0755);
    for (int i = 0; i < STEPS; i++) {
        operation[pick(CG_COUNT(operation))]();
        if (i % CHECK_EVERY == 0) {
            check_tree();
        }
    }
    check_tree();
    for (int i = 0; i < HELD; i++) {
        if (held[i].node != 0) {
            rig_clunk(c, held[i].fid);
        }
    }
    rig_free(rig);
    for (uint32_t i = 0; i < nodes; i++) {
        cg_free(node[i].data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_shadow)};
    return cmocka_run_group_tests_name(rig_kind.name, tests, NULL, NULL);
}
